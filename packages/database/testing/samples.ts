import { blob } from '../../../test/reference/records.ts';
import { cidOf, posts } from './world.ts';

const did = 'did:plc:zzzzzzzzzzzzzzzzzzzzzzz2';
const createdAt = '2026-01-01T00:00:00.000Z';
const image = blob('an image', 'image/jpeg');
const facets = [
  {
    index: { byteStart: 0, byteEnd: 5 },
    features: [
      { $type: 'app.bsky.richtext.facet#mention', did },
      { $type: 'app.bsky.richtext.facet#link', uri: 'https://example.com' },
      { $type: 'app.bsky.richtext.facet#tag', tag: 'tag' },
      { $type: 'com.example.future', anything: 1 },
    ],
  },
];
const labels = { $type: 'com.atproto.label.defs#selfLabels', values: [{ val: 'porn' }] };
const post = { text: 'hello', createdAt };
const aspectRatio = { width: 3, height: 4 };
const images = {
  $type: 'app.bsky.embed.images',
  images: [{ image, alt: 'alt', aspectRatio }],
};
const list = `at://${did}/app.bsky.graph.list/3222222222222`;

/** Valid records of every collection that the AppView indexes, with as many of their fields as can be. */
export const samples: Record<string, Record<string, unknown>[]> = {
  'app.bsky.feed.post': [
    {
      ...post,
      facets,
      labels,
      langs: ['en', 'pt-BR'],
      tags: ['a', 'b'],
      reply: { root: posts[0], parent: posts[1] },
      entities: [{ index: { start: 0, end: 1 }, type: 'link', value: 'x' }],
      embed: images,
    },
    {
      ...post,
      embed: {
        $type: 'app.bsky.embed.external',
        external: { uri: 'https://example.com', title: 't', description: 'd', thumb: image },
      },
    },
    { ...post, embed: { $type: 'app.bsky.embed.record', record: posts[0] } },
    {
      ...post,
      embed: { $type: 'app.bsky.embed.recordWithMedia', record: { record: posts[0] }, media: images },
    },
    {
      ...post,
      embed: {
        $type: 'app.bsky.embed.video',
        video: blob('a video', 'video/mp4'),
        captions: [{ lang: 'en', file: blob('captions', 'text/vtt') }],
        alt: 'alt',
        aspectRatio,
      },
    },
    {
      ...post,
      embed: {
        $type: 'app.bsky.embed.gallery',
        items: [{ $type: 'app.bsky.embed.gallery#image', image, alt: 'alt', aspectRatio }],
      },
    },
    { ...post, embed: { $type: 'com.example.embed', anything: true } },
  ],
  'app.bsky.feed.like': [{ subject: posts[0], createdAt, via: posts[1] }],
  'app.bsky.feed.repost': [{ subject: posts[0], createdAt, via: posts[1] }],
  'app.bsky.feed.generator': [
    {
      did: 'did:web:feed.example.com',
      displayName: 'feed',
      description: 'd',
      descriptionFacets: facets,
      avatar: image,
      acceptsInteractions: true,
      contentMode: 'app.bsky.feed.defs#contentModeVideo',
      labels,
      createdAt,
    },
  ],
  'app.bsky.feed.threadgate': [
    {
      post: posts[0]!.uri,
      allow: [
        { $type: 'app.bsky.feed.threadgate#mentionRule' },
        { $type: 'app.bsky.feed.threadgate#listRule', list },
        { $type: 'app.bsky.feed.threadgate#followingRule' },
      ],
      hiddenReplies: [posts[1]!.uri],
      createdAt,
    },
  ],
  'app.bsky.feed.postgate': [
    {
      post: posts[0]!.uri,
      detachedEmbeddingUris: [posts[1]!.uri],
      embeddingRules: [{ $type: 'app.bsky.feed.postgate#disableRule' }],
      createdAt,
    },
  ],
  'app.bsky.graph.follow': [{ subject: did, createdAt, via: posts[0] }],
  'app.bsky.graph.block': [{ subject: did, createdAt }],
  'app.bsky.graph.list': [
    {
      purpose: 'app.bsky.graph.defs#modlist',
      name: 'list',
      description: 'd',
      descriptionFacets: facets,
      avatar: image,
      labels,
      createdAt,
    },
  ],
  'app.bsky.graph.listitem': [{ subject: did, list, createdAt }],
  'app.bsky.graph.listblock': [{ subject: list, createdAt }],
  'app.bsky.graph.referencelistoptout': [{ subject: list, createdAt }],
  'app.bsky.graph.starterpack': [
    {
      name: 'pack',
      description: 'd',
      descriptionFacets: facets,
      list,
      feeds: [{ uri: `at://${did}/app.bsky.feed.generator/a` }],
      createdAt,
    },
  ],
  'app.bsky.graph.verification': [{ subject: did, handle: 'alice.test', displayName: 'Alice', createdAt }],
  'app.bsky.actor.profile': [
    {
      displayName: 'Alice',
      description: 'd',
      pronouns: 'she',
      website: 'https://example.com',
      avatar: image,
      banner: image,
      labels,
      joinedViaStarterPack: { uri: `at://${did}/app.bsky.graph.starterpack/a`, cid: cidOf('pack') },
      pinnedPost: posts[0],
      createdAt,
    },
  ],
  'app.bsky.actor.status': [
    {
      status: 'app.bsky.actor.status#live',
      embed: {
        $type: 'app.bsky.embed.external',
        external: { uri: 'https://e.com', title: '', description: '' },
      },
      durationMinutes: 5,
      createdAt,
    },
  ],
  'app.bsky.labeler.service': [
    {
      policies: {
        labelValues: ['spam', '!hide'],
        labelValueDefinitions: [
          {
            identifier: 'spam',
            severity: 'inform',
            blurs: 'none',
            defaultSetting: 'warn',
            adultOnly: false,
            locales: [{ lang: 'en', name: 'Spam', description: 'd' }],
          },
        ],
      },
      labels,
      createdAt,
      reasonTypes: ['com.atproto.moderation.defs#reasonSpam'],
      subjectTypes: ['account', 'record'],
      subjectCollections: ['app.bsky.feed.post'],
    },
  ],
  'app.bsky.notification.declaration': [{ allowSubscriptions: 'followers' }],
  'com.germnetwork.declaration': [
    {
      version: '1.0.0',
      currentKey: { $bytes: Buffer.alloc(33, 1).toString('base64').replace(/=+$/, '') },
      keyPackage: { $bytes: Buffer.alloc(40, 2).toString('base64').replace(/=+$/, '') },
      messageMe: { showButtonTo: 'everyone', messageMeUrl: 'https://example.com' },
      continuityProofs: [{ $bytes: 'AAAA' }],
    },
  ],
};
