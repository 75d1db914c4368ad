import { describe, expect, it } from 'vitest';
import { collectionFilter } from './index.ts';

describe('collectionFilter', () => {
  it('keeps exact NSIDs and everything below a prefix', () => {
    const kept = collectionFilter(['app.bsky.*', 'chat.bsky.actor.declaration']);
    for (const _ of [1, 2]) {
      expect(kept('app.bsky.feed.post')).toBe(true);
      expect(kept('app.bsky.a')).toBe(true);
      expect(kept('app.bskyb.feed.post')).toBe(false);
      expect(kept('chat.bsky.actor.declaration')).toBe(true);
      expect(kept('chat.bsky.actor')).toBe(false);
    }
  });

  it('keeps everything for `*` and for no pattern', () => {
    expect(collectionFilter(['*'])('com.example.thing')).toBe(true);
    expect(collectionFilter([])('com.example.thing')).toBe(true);
  });
});
