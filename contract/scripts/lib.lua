-- Shared by all scripts, which take the same keys:
--   KEYS: jobs, ids, results, dead, stats, workers (Keys.All)
local jobs, ids, results, dead, stats, workers = unpack(KEYS)
local group = 'workers'

-- What a script has done is not undone when it fails later on. So a key of a wrong type
-- stops it here, where it has changed nothing yet.
for i, length in ipairs({ 'XLEN', 'SCARD', 'HLEN', 'XLEN', 'HLEN', 'HLEN' }) do
  redis.call(length, KEYS[i])
end

-- insist lets the rest of a script through when Redis is out of memory. What asks for
-- memory is refused then, but only until the script has written; this writes nothing and
-- is always allowed, also while there is no stream or group.
local function insist()
  redis.call('XACK', jobs, group, '0-0')
end

local function count(counter)
  redis.call('HINCRBY', stats, counter, 1)
end

-- read returns the fields of an entry, nil when the entry is gone.
-- An entry without an id is known by its stream entry id from here on.
local function read(stream, entry)
  local row = redis.call('XRANGE', stream, entry, entry)[1]
  if not row then return nil end
  local fields = {}
  for i = 1, #row[2], 2 do fields[row[2][i]] = row[2][i + 1] end
  if (fields.id or '') == '' then fields.id = entry end
  return fields
end

-- What is kept of an entry, in this order. A script can only pass on so many fields at a
-- time, so those that somebody made up are left behind.
local kept = { 'id', 'body', 'attempts', 'abandoned', 'reason', 'worker' }

-- move gives a message, already acknowledged, its place in another stream, or at the end of
-- the same. Its old entry goes last: there is no moment at which it is nowhere.
local function move(from, entry, to, fields)
  local flat = {}
  for _, name in ipairs(kept) do
    if fields[name] then
      flat[#flat + 1] = name
      flat[#flat + 1] = tostring(fields[name])
    end
  end
  redis.call('XADD', to, '*', unpack(flat))
  redis.call('XDEL', from, entry)
end

-- increase adds one to a number kept in a field and returns it.
local function increase(fields, name)
  fields[name] = (tonumber(fields[name]) or 0) + 1
  return fields[name]
end

-- bury makes an acknowledged message a dead letter.
local function bury(entry, fields, reason, worker)
  fields.reason, fields.worker = reason, worker
  move(jobs, entry, dead, fields)
  redis.call('SREM', ids, fields.id)
  count('dead')
end

-- drop forgets an acknowledged message whose id has a result.
local function drop(entry, fields)
  redis.call('XDEL', jobs, entry)
  redis.call('SREM', ids, fields.id)
  count('duplicate')
end
