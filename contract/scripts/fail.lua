-- fail records that a message was not answered. The acknowledgement decides, as in commit.
--   ARGV: entry, worker, fault, reason, maxAttempts, maxAbandoned
--   fault: poison  the message is at fault: a dead letter at once
--          retry   the answer is at fault: once more, a dead letter after maxAttempts
--          wait    the infrastructure is at fault: once more, as often as it takes
--          lost    the model server went away in the middle of the answer: once more,
--                  but a dead letter after maxAbandoned, for the message may be what kills it
--   Returns REQUEUED, WAITING, DEAD or STALE.
local entry, worker, fault, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local maxAttempts, maxAbandoned = tonumber(ARGV[5]), tonumber(ARGV[6])
if not ({ poison = 1, retry = 1, wait = 1, lost = 1 })[fault] then
  return redis.error_reply('ERR unknown fault ' .. fault)
end

local acknowledged = redis.call('XACK', jobs, group, entry) == 1
local fields = acknowledged and read(jobs, entry)
if not fields then
  count('stale')
  return 'STALE'
end

local over = fault == 'poison'
if fault == 'poison' or fault == 'retry' then
  over = increase(fields, 'attempts') >= maxAttempts or over
elseif fault == 'lost' then
  over = increase(fields, 'abandoned') >= maxAbandoned
end
if over then
  bury(entry, fields, reason, worker)
  return 'DEAD'
end

move(jobs, entry, jobs, fields)
if fault == 'retry' then
  count('requeued')
  return 'REQUEUED'
end
count('waited')
return 'WAITING'
