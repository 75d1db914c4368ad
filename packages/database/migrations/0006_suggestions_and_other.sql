-- Suggestions, the hot feed's view and its parameters, the AppView's own cursor.

CREATE TABLE suggested_feed (
  uri varchar PRIMARY KEY,
  "order" integer NOT NULL
);

CREATE TABLE suggested_follow (
  did varchar PRIMARY KEY,
  "order" integer NOT NULL
);

CREATE TABLE tagged_suggestion (
  tag varchar NOT NULL,
  subject varchar NOT NULL,
  "subjectType" varchar NOT NULL,
  PRIMARY KEY (tag, subject)
);

CREATE TABLE subscription (
  service varchar NOT NULL,
  method varchar NOT NULL,
  state varchar NOT NULL,
  PRIMARY KEY (service, method)
);

CREATE TABLE view_param (
  name varchar PRIMARY KEY,
  value varchar
);

INSERT INTO view_param (name, value) VALUES ('whats_hot_like_threshold', '2'), ('whats_hot_interval', '1day');

CREATE MATERIALIZED VIEW algo_whats_hot_view AS
  SELECT
    post.uri,
    post.cid,
    round(
      1000000 * (
        post_agg."likeCount"::numeric
        / ((extract(epoch FROM age(now(), post."indexedAt"::timestamp)) / 3600 + 2) ^ 1.8)
      )
    ) AS score
  FROM post
  JOIN post_agg ON post_agg.uri = post.uri
  WHERE
    post."indexedAt" > (
      SELECT to_char(now() - value::interval, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS val
      FROM view_param
      WHERE name = 'whats_hot_interval'
    )
    AND post."replyParent" IS NULL
    AND post_agg."likeCount" > (
      SELECT value::integer AS val
      FROM view_param
      WHERE name = 'whats_hot_like_threshold'
    )
  WITH NO DATA;
CREATE INDEX algo_whats_hot_view_cursor_idx ON algo_whats_hot_view (score, cid);
CREATE UNIQUE INDEX algo_whats_hot_view_uri_idx ON algo_whats_hot_view (uri);
