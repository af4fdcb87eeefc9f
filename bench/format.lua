-- Microseconds that webhook.format takes for a job_finished event, in each format, beside raw. CPU time; the best of several
-- turns taken in alternation, because other work on the machine only ever slows down. Usage: script/bench format [rounds]
local webhook = require "webhook"

local ROUNDS = tonumber(arg[1]) or 50000
local TURNS = 9
local FORMATS = { "raw", "slack", "discord", "teams" }
local LIMIT = 3

local event = webhook.events.job_finished {
  id = "16555c02-a320-4bec-a14a-52754d783970", appId = "70922e93-0944-48cc-a560-61135ab291ad", status = "canceled",
  appBuildId = "647d1fe4-9cb7-4f25-afaf-7a0c13a1bb8c", organizationId = "a7249949-a705-4952-a293-a06df84950dc",
  stack = "macos-tahoe", createdAt = 1771143256161, pendingAt = 1771143256381, inProgressAt = 1771143275311,
  finishedAt = 1771143284003, createdBy = "f624e455-b19c-4f17-8282-e4a7a02597f3",
}

local function microseconds(format)
  collectgarbage()
  local start = os.clock()
  for _ = 1, ROUNDS do webhook.format(event, format) end
  return (os.clock() - start) / ROUNDS * 1e6
end

local best = {}
for _ = 1, TURNS do
  for _, format in ipairs(FORMATS) do best[format] = math.min(best[format] or math.huge, microseconds(format)) end
end

local within = true
print(("%-10s %10s %8s"):format("format", "us", "ratio"))
for _, format in ipairs(FORMATS) do
  local ratio = best[format] / best.raw
  within = within and ratio <= LIMIT
  print(("%-10s %10.2f %8.2f"):format(format, best[format], ratio))
end
print(within and "within" or "above", ("the limit of %d times raw"):format(LIMIT))
os.exit(within)
