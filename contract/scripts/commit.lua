-- commit records a result. The acknowledgement comes first and decides who wins:
-- whoever cannot acknowledge no longer owns the message. (It also lets the rest of
-- the script through when Redis is out of memory: a commit is how memory comes free.)
--   ARGV: entry, id, result
--   Returns COMMITTED, DUPLICATE (the id has a result; it stays) or STALE.
local entry, id, result = ARGV[1], ARGV[2], ARGV[3]
if redis.call('XACK', jobs, group, entry) == 0 then
  count('stale')
  return 'STALE'
end
local first = redis.call('HSETNX', results, id, result) == 1
redis.call('XDEL', jobs, entry)
redis.call('SREM', ids, id)
count(first and 'done' or 'duplicate')
return first and 'COMMITTED' or 'DUPLICATE'
