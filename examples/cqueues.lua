-- In an event loop, here cqueues (Debian: lua-cqueues): a call that takes a while lets other coroutines run.
-- Usage: lua5.4 examples/cqueues.lua URL
local cqueues = require "cqueues"
local webhook = require "webhook"

local url = arg[1]
if not url then
  io.stderr:write("usage: lua5.4 examples/cqueues.lua URL\n")
  os.exit(2)
end

local loop = cqueues.new()

loop:wrap(function()
  local hooks = assert(webhook.open(":memory:", { -- a server gives a file
    allow_networks = { "127.0.0.0/8" },
    wait = function(fd, seconds) cqueues.poll({ pollfd = fd, events = "r" }, seconds) end,
  }))
  assert(hooks.webhooks:create { name = "jobs", url = url, app_id = "my-app", events = { "job_finished" } })

  local turns, done = 0, false
  loop:wrap(function()
    while not done do
      cqueues.sleep(0.001)
      turns = turns + 1
    end
  end)

  assert(hooks:emit(webhook.events.job_finished { id = "job-1", appId = "my-app", status = "succeeded" }))
  assert(hooks:drain(20))
  done = true
  print("turns meanwhile", turns)
  print("delivered", hooks:stats().succeeded)
  local fd = hooks:fd()
  assert(hooks:close())
  cqueues.cancel(fd) -- before it is closed, with the last name of the dispatcher
end)

assert(loop:loop())
