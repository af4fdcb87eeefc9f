-- Emits until it is refused; each number whose emit returned is printed at once, then the refusal.
local webhook = require("webhook")

io.stdout:setvbuf("no")
local hooks = assert(webhook.open(arg[1], { retry = false }))
assert(hooks.webhooks:create({ name = "all", url = "http://127.0.0.1:9/", events = { "*" } }))
for number = 1, 100000 do
  local message, problem, code = hooks:emit(webhook.events.job_finished({ id = "n" .. number }))
  if not message then
    print("refused", code, problem)
    break
  end
  print("stored", number)
end
hooks:close(1)
