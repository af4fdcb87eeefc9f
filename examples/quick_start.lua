-- Sends one signed webhook and reads its log. Usage: lua examples/quick_start.lua https://example.com/hook
local webhook = require "webhook"

local url = assert(arg[1], "usage: quick_start.lua URL")
local hooks = assert(webhook.open("webhooks.db", {
  allow_networks = { "127.0.0.0/8", "::1" }, -- only to try it on this machine; leave it out in production
  retry = { 1, 2 },
}))
if not hooks.webhooks:list({ query = "quick start" })[1] then
  assert(hooks.webhooks:create {
    name = "quick start", url = url, events = { "job_finished" }, signing_secret = "It's a Secret to Everybody" })
end
assert(hooks:emit(webhook.events.job_finished { id = "42", status = "succeeded" }))
hooks:drain(20)
for id, delivery in hooks.log:each() do
  print(id, delivery.event, delivery.status, delivery.response_status_code or delivery.error)
end
hooks:close()
