-- Shared by all scripts, which take the same keys:
--   KEYS: jobs, ids, results, dead, stats, workers (Keys.All)
local jobs, ids, results, dead, stats, workers = unpack(KEYS)
local group = 'workers'

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

-- add appends an entry with its fields in a fixed order, known ones first.
local function add(stream, fields)
  local known = { id = 1, body = 2, attempts = 3, abandoned = 4, reason = 5, worker = 6 }
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    local x, y = known[a] or 7, known[b] or 7
    if x == y then return a < b end
    return x < y
  end)
  local flat = {}
  for _, name in ipairs(names) do
    flat[#flat + 1] = name
    flat[#flat + 1] = tostring(fields[name])
  end
  redis.call('XADD', stream, '*', unpack(flat))
end

-- increase adds one to a number kept in a field and returns it.
local function increase(fields, name)
  fields[name] = (tonumber(fields[name]) or 0) + 1
  return fields[name]
end

-- bury makes a message, already taken off the stream, a dead letter.
local function bury(fields, reason, worker)
  fields.reason, fields.worker = reason, worker
  add(dead, fields)
  redis.call('SREM', ids, fields.id)
  count('dead')
end

-- drop forgets a message, already taken off the stream, whose id has a result.
local function drop(fields)
  redis.call('SREM', ids, fields.id)
  count('duplicate')
end
