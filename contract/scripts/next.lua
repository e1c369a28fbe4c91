-- next hands a free slot its next message. What can never be worked on is dealt with here.
--   ARGV: worker, ask (a number above 0 that this worker's process uses for this ask only:
--         asking again, because the answer was lost, gets the same message again)
--   Returns { entry, id, body, attempts }; an empty list when nothing is waiting.
local worker, ask = ARGV[1], tonumber(ARGV[2])

-- mine returns the worker's pending entries, and sees to it that there is a group.
local function mine()
  local list = redis.pcall('XPENDING', jobs, group, '-', '+', 1000, worker)
  if not list.err then return list end
  if not string.find(list.err, 'NOGROUP') then error(list.err) end
  insist()
  redis.call('XGROUP', 'CREATE', jobs, group, 0, 'MKSTREAM')
  return {}
end

-- hand returns the message, or nil when there is nothing to work on.
local function hand(entry)
  local fields = read(jobs, entry)
  local answered = fields and redis.call('HEXISTS', results, fields.id) == 1
  if fields and fields.body and not answered then
    return { entry, fields.id, fields.body, fields.attempts or '0' }
  end
  redis.call('XACK', jobs, group, entry)
  if answered then
    drop(entry, fields)
  elseif fields then
    bury(entry, fields, 'no body', worker)
  end
end

-- An entry's number of deliveries has no other use: it remembers the ask.
for _, pending in ipairs(mine()) do
  if pending[4] == ask then return hand(pending[1]) or {} end
end
for _ = 1, 100 do
  local answer = redis.call('XREADGROUP', 'GROUP', group, worker, 'COUNT', 1, 'STREAMS', jobs, '>')
  if not answer then break end
  local entry = answer[1][2][1][1]
  redis.call('XCLAIM', jobs, group, worker, 0, entry, 'RETRYCOUNT', ask, 'JUSTID')
  local message = hand(entry)
  if message then return message end
end
return {}
