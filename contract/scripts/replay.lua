-- replay makes dead letters messages again, with a clean slate.
--   ARGV: entry ids of dead letters
--   Returns one status per dead letter: REPLAYED; DONE (the id has a result by now, the
--   dead letter is deleted); OUTSTANDING (the id is in the queue again, the dead letter
--   stays); GONE (no such dead letter).
local statuses = {}
for _, entry in ipairs(ARGV) do
  local status = 'GONE'
  local fields = read(dead, entry)
  if fields and redis.call('HEXISTS', results, fields.id) == 1 then
    status = 'DONE'
    redis.call('XDEL', dead, entry)
  elseif fields and redis.call('SADD', ids, fields.id) == 0 then
    status = 'OUTSTANDING'
  elseif fields then
    status = 'REPLAYED'
    fields.attempts, fields.abandoned, fields.reason, fields.worker = nil, nil, nil, nil
    move(dead, entry, jobs, fields)
    count('replayed')
  end
  statuses[#statuses + 1] = status
end
return statuses
