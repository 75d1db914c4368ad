/**
 * Indexes that only the AppView's reads need: no statement of ours looks a row up by them, but those that verify
 * and repair counts, which wait until bulk mode is over. Those of unique constraints are not among them, nor what
 * derivations look up by (parents, roots, quoted posts, reposts of a post).
 */
export const deferredIndexes = [
  'record_did_idx',
  'actor_handle_tgrm_idx',
  'profile_creator_idx',
  'profile_display_name_tgrm_idx',
  'profile_starter_pack_joined_idx',
  'labeler_order_by_idx',
  'post_creator_cursor_idx',
  'post_order_by_idx',
  'like_creator_cursor_idx',
  'like_subject_sort_at_creator_idx',
  'repost_order_by_idx',
  'repost_subject_idx',
  'feed_item_cursor_idx',
  'feed_item_originator_cursor_idx',
  'feed_generator_creator_index',
  'follow_creator_cursor_idx',
  'follow_subject_cursor_idx',
  'actor_block_subjectdid_idx',
  'list_creator_idx',
  'list_item_creator_idx',
  'list_item_subject_idx',
  'starter_pack_creator_order_by_idx',
  'starter_pack_name_tgrm_idx',
] as const;
