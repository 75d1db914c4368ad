-- Who deletes a follow says only its URI; replies that were judged by it have to be found.
CREATE INDEX past_pair_uri_idx ON headwater.past_pair (uri);
