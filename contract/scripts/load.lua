-- load adds messages unless they are outstanding or done.
--   ARGV: id, body, id, body, … An empty id adds without looking for a double:
--         the message will be known by its stream entry id.
--   Returns one status per message: LOADED, OUTSTANDING or DONE.
local statuses = {}
for i = 1, #ARGV, 2 do
  local id, body = ARGV[i], ARGV[i + 1]
  local status = 'LOADED'
  if id == '' then
    redis.call('XADD', jobs, '*', 'body', body)
  elseif redis.call('HEXISTS', results, id) == 1 then
    status = 'DONE'
  elseif redis.call('SADD', ids, id) == 0 then
    status = 'OUTSTANDING'
  else
    redis.call('XADD', jobs, '*', 'id', id, 'body', body)
  end
  if status == 'LOADED' then count('loaded') end
  statuses[#statuses + 1] = status
end
return statuses
