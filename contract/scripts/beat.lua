-- beat is called by every worker every few seconds. It records that the worker lives,
-- takes back what workers that are gone had in hand, and clears up after them.
--   ARGV: worker, deadAfter (ms), minIdle (ms), maxAbandoned, limit (entries taken back
--         per call), forgetAfter (ms), fresh (1: the worker has only just started, so
--         what is in its name is from a former life of the same name)
--   Returns { busy, taken }: how many entries this worker has in hand, and how many
--   entries were taken back.
local worker, deadAfter, minIdle = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local maxAbandoned, limit, forgetAfter = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- lives maps each worker to { since, last }: alive without a gap since, last heard of at.
local function roll()
  local lives, rows = {}, redis.call('HGETALL', workers)
  for i = 1, #rows, 2 do
    local since, last = string.match(rows[i + 1], '^(%d+) (%d+)$')
    if since then lives[rows[i]] = { since = tonumber(since), last = tonumber(last) } end
  end
  return lives
end

local function record(lives)
  local life = lives[worker]
  local since = now
  if life and now - life.last <= deadAfter * 2 / 3 then since = life.since end
  lives[worker] = { since = since, last = now }
  redis.call('HSET', workers, worker, string.format('%.0f %.0f', since, now))
end

-- consumers returns the group's consumers; none while there is no stream or group yet.
local function consumers()
  local rows = redis.pcall('XINFO', 'CONSUMERS', jobs, group)
  if rows.err then
    if string.find(rows.err, 'no such key') or string.find(rows.err, 'NOGROUP') then return {} end
    error(rows.err)
  end
  local list = {}
  for _, row in ipairs(rows) do
    local consumer = {}
    for i = 1, #row, 2 do consumer[row[i]] = row[i + 1] end
    list[#list + 1] = consumer
  end
  return list
end

local taken = 0

-- take removes a pending entry from its owner and decides what becomes of it.
local function take(entry, owner)
  local fields = read(jobs, entry)
  redis.call('XACK', jobs, group, entry)
  taken = taken + 1
  if not fields then return end
  if not fields.body then
    bury(entry, fields, 'no body', owner)
  elseif redis.call('HEXISTS', results, fields.id) == 1 then
    drop(entry, fields)
  elseif increase(fields, 'abandoned') >= maxAbandoned then
    bury(entry, fields, 'abandoned ' .. fields.abandoned .. ' times, last by ' .. owner, owner)
  else
    move(jobs, entry, jobs, fields)
    count('reaped')
  end
end

-- reap takes back entries that have been idle for so long (ms), of one consumer or of all.
local function reap(idle, ...)
  if taken >= limit then return end
  for _, pending in ipairs(redis.call('XPENDING', jobs, group, 'IDLE', idle, '-', '+', limit - taken, ...)) do
    take(pending[1], pending[2])
  end
end

insist()
local lives = roll()
record(lives)
local list, busy = consumers(), 0
if #list == 0 then return { 0, 0 } end
for _, consumer in ipairs(list) do
  if consumer.name == worker then busy = consumer.pending end
end
if busy > 0 and ARGV[7] == '1' then
  reap(0, worker)
  busy = busy - taken
end

-- After an outage of Redis everybody looks dead: judge only when all others have had
-- the time to be heard of again.
if now - lives[worker].since >= deadAfter then
  for _, consumer in ipairs(list) do
    local life = lives[consumer.name]
    local gone = not life or now - life.last > deadAfter
    if gone and consumer.pending > 0 then
      reap(life and 0 or deadAfter, consumer.name)
    elseif gone and consumer.idle > forgetAfter and (not life or now - life.last > forgetAfter) then
      redis.call('XGROUP', 'DELCONSUMER', jobs, group, consumer.name)
    end
  end
  reap(minIdle)
end
for name, life in pairs(lives) do
  if now - life.last > forgetAfter then redis.call('HDEL', workers, name) end
end
return { busy, taken }
