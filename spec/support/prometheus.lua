-- A strict reader of Prometheus' text exposition format 0.0.4: what it does not raise on, Prometheus reads.
-- https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
local prometheus = {}

local TYPES = { counter = true, gauge = true, histogram = true }
local ESCAPES = { ["\\"] = "\\", ['"'] = '"', n = "\n" }

local function fail(line, why, ...)
  error(("%s: %q"):format(why:format(...), line), 0)
end

local function number(line, text)
  if text == "+Inf" then return math.huge end
  if not (text:match("^%-?%d+$") or text:match("^%-?%d+%.%d+$")) then fail(line, "no number: %s", text) end
  return tonumber(text)
end

-- The labels behind '{', and the place after '}'.
local function read_labels(line, at)
  local labels = {}
  while true do
    local name, value_at = line:match('^([%a_][%w_]*)="()', at)
    if not name then fail(line, "a label expected at %d", at) end
    if labels[name] then fail(line, "label %s twice", name) end
    local value = {}
    at = value_at
    while line:sub(at, at) ~= '"' do
      local char = line:sub(at, at)
      if char == "" then fail(line, "an open label value") end
      if char == "\\" then
        at = at + 1
        char = ESCAPES[line:sub(at, at)] or fail(line, "an unknown escape")
      end
      value[#value + 1] = char
      at = at + 1
    end
    labels[name] = table.concat(value)
    local separator = line:sub(at + 1, at + 1)
    at = at + 2
    if separator == "}" then return labels, at end
    if separator ~= "," then fail(line, "',' or '}' expected at %d", at - 1) end
  end
end

local function read_sample(line)
  local name, at = line:match("^([%a_:][%w_:]*)()")
  if not name then fail(line, "no sample") end
  local labels = {}
  if line:sub(at, at) == "{" then labels, at = read_labels(line, at + 1) end
  local value = line:match("^ (%S+)$", at) or fail(line, "one blank and a value expected")
  return { name = name, labels = labels, value = number(line, value) }
end

-- What a sample of the family is: "" or a histogram's "_bucket", "_sum", "_count".
local function suffix_in(family, sample, line)
  local suffix = sample.name:sub(1, #family.name) == family.name and sample.name:sub(#family.name + 1)
  local histogram = family.type == "histogram"
  local fits = suffix and (histogram and (suffix == "_bucket" or suffix == "_sum" or suffix == "_count")
    or not histogram and suffix == "")
  if not fits then fail(line, "not of the family %s", family.name) end
  return suffix
end

local function key_of(sample)
  local parts = {}
  for name, value in pairs(sample.labels) do parts[#parts + 1] = name .. "=" .. value end
  table.sort(parts)
  return sample.name .. "{" .. table.concat(parts, ",") .. "}"
end

local function check_histogram(family)
  local bound, below, count, sum = -math.huge, 0, nil, nil
  for _, sample in ipairs(family.samples) do
    if sample.suffix == "_bucket" then
      if count or sum then fail(family.name, "a bucket after the sum or count") end
      local le = number(family.name, sample.labels.le or fail(family.name, "a bucket without le"))
      if le <= bound then fail(family.name, "le does not rise") end
      if sample.value < below then fail(family.name, "the buckets are not cumulative") end
      bound, below = le, sample.value
    elseif sample.suffix == "_sum" then
      sum = sample.value
    else
      count = sample.value
    end
  end
  if bound ~= math.huge then fail(family.name, "no bucket +Inf") end
  if count ~= below or not sum then fail(family.name, "the count is not the last bucket, or there is no sum") end
end

local function check_family(family)
  if not family then return end
  if #family.samples == 0 then fail(family.name, "no samples") end
  if family.type == "histogram" then check_histogram(family) end
  if family.type == "counter" then
    if not family.name:match("_total$") then fail(family.name, "a counter that does not end in _total") end
    for _, sample in ipairs(family.samples) do
      if sample.value < 0 then fail(family.name, "a negative counter") end
    end
  end
end

--- Reads all of it. @return { [family] = { type, help, samples } }, and { ['name{label=value}'] = value }
function prometheus.parse(text)
  assert(text:sub(-1) == "\n", "the last line does not end")
  local families, values, family, helped = {}, {}, nil, nil
  for line in text:gmatch("([^\n]*)\n") do
    local help_name, help = line:match("^# HELP ([%a_:][%w_:]*) (.+)$")
    local type_name, kind = line:match("^# TYPE ([%a_:][%w_:]*) (%a+)$")
    if help_name then
      if helped then fail(line, "HELP without TYPE before it") end
      check_family(family)
      if families[help_name] then fail(line, "a family twice") end
      family, helped = nil, { name = help_name, help = help }
    elseif type_name then
      if not helped or helped.name ~= type_name then fail(line, "TYPE without its HELP") end
      if not TYPES[kind] then fail(line, "an unknown type") end
      family, helped = { name = type_name, type = kind, help = helped.help, samples = {} }, nil
      families[type_name] = family
    else
      if not family then fail(line, "a sample without a family") end
      local sample = read_sample(line)
      sample.suffix = suffix_in(family, sample, line)
      local key = key_of(sample)
      if values[key] then fail(line, "a sample twice") end
      values[key] = sample.value
      family.samples[#family.samples + 1] = sample
    end
  end
  check_family(family)
  return families, values
end

return prometheus
