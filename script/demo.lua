-- What script/demo runs once the module is built.
local openresty_example = require "spec.support.openresty_example"
local receiver = require "spec.support.receiver"
local temp = require "spec.support.temp"
local wait = require "spec.support.wait"
local webhook = require "webhook"

local SECRET = "It's a Secret to Everybody"
local APP = "70922e93-0944-48cc-a560-61135ab291ad"
local EVENTS = 2000

local step_number = 0
local function step(text, ...)
  step_number = step_number + 1
  print(("\n%d. %s"):format(step_number, text:format(...)))
end
local function say(text, ...) print("   " .. text:format(...)) end

local is_terminal = os.execute("test -t 1") == true
local function progress(done, total)
  if not is_terminal then return end
  io.write(("\r   %d of %d delivered"):format(done, total), done >= total and "\n" or "")
  io.flush()
end

local function job(number, status)
  local now = os.time() * 1000
  return webhook.events.job_finished {
    id = ("16555c02-a320-4bec-a14a-%012d"):format(number), appId = APP, appBuildId = "647d1fe4-9cb7-4f25-afaf-7a0c13a1bb8c", status = status, stack = "macos-tahoe",
    createdAt = now - 87000, pendingAt = now - 80000, inProgressAt = now - 60000, finishedAt = now,
  }
end

-- Only what is printable and short, on one line.
local function brief(text)
  text = (text or ""):gsub("%s+", " ")
  return #text > 44 and text:sub(1, 43) .. "…" or text
end

local function print_table(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, utf8.len(cell) or #cell) end
  end
  for _, row in ipairs(rows) do
    local line = {}
    for i, cell in ipairs(row) do line[i] = cell .. (" "):rep(widths[i] - (utf8.len(cell) or #cell)) end
    say("%s", (table.concat(line, "  "):gsub("%s+$", "")))
  end
end

local function print_log(hooks, limit)
  local names = {}
  for _, hook in ipairs(assert(hooks.webhooks:list())) do names[hook.id] = hook.name end
  local rows = { { "time", "event", "webhook", "status", "attempts", "answer" } }
  for _, delivery in pairs(hooks.log) do
    if #rows > limit then break end
    local status = delivery.response_status_code
    local answer = delivery.error or (status and ("%d %s"):format(status, brief(delivery.response_body))) or ""
    rows[#rows + 1] = {
      os.date("%H:%M:%S", delivery.created_at // 1000), delivery.event, names[delivery.webhook_id] or "?",
      delivery.status, tostring(#delivery.attempts), brief(answer),
    }
  end
  print_table(rows)
end

print("lua-webhook " .. webhook._VERSION .. ": a demonstration on this machine")

step "Start a receiver: nginx, on a free port of this machine"
local server <close> = receiver.start {}
say("it listens on %s", server.url)

step "Open a dispatcher on a new SQLite file"
local folder = temp.folder()
local hooks <close> = assert(webhook.open(folder:file("webhooks.db"), {
  allow_networks = { "127.0.0.0/8" }, -- the receiver is on this machine; otherwise private addresses are refused
  retry = { 0.2, 0.4 },
}))
say("%s", folder:file("webhooks.db"))

step "Create three webhooks: one that works and is signed, one for a Slack channel, one whose receiver is broken"
local good = assert(hooks.webhooks:create {
  app_id = APP, name = "build server", url = server.url .. "/ok", events = { "*" }, signing_secret = SECRET })
local chat = assert(hooks.webhooks:create {
  app_id = APP, name = "Slack channel", url = server.url .. "/echo-headers", format = "slack", events = { "job_finished" } })
local broken = assert(hooks.webhooks:create {
  app_id = APP, name = "broken server", url = server.url .. "/status/500", events = { "job_finished" } })
say("%s  %s", good.id, good.name)
say("%s  %s", chat.id, chat.name)
say("%s  %s", broken.id, broken.name)

step "Emit an event: job_finished"
local event = job(1, "failed")
local message = assert(hooks:emit(event))
say("message %s is on disk, for %d webhooks", message.id, message.deliveries)
assert(hooks:drain(10))

step "Look at what the receiver got, and verify its signature"
local got = server:last("/ok")
say("%s", brief(got.body))
say("X-Signature: %s", got.headers["x-signature"])
say("verified: %s", tostring(assert(webhook.verify("capawesome", SECRET, got.headers, got.body))))
say("with a changed body: %s", select(2, webhook.verify("capawesome", SECRET, got.headers, got.body .. " ")))

step "Look at what people read in the Slack channel"
for line in assert(webhook.preview(event, "slack")):gmatch("[^\n]+") do say("| %s", line) end
say("sent as %s", brief(server:last("/echo-headers").body))
assert(hooks.webhooks:update(chat.id, { enabled = false }))

step "Wait until the broken one has used up its retries"
local failed = hooks.log:where { webhook_id = broken.id, status = "failed" }
repeat hooks:drain(0.1) until failed:count() == 1
for id, delivery in failed:each() do
  say("%s failed after %d attempts: %s", id, #delivery.attempts, delivery.reason or delivery.error)
end

step "Repair it, and resend what failed"
assert(hooks.webhooks:update(broken.id, { url = server.url .. "/ok", name = "repaired server" }))
say("%d delivery resent, with the same Webhook-Id and the same bytes", assert(failed:resend()))
assert(hooks:drain(10))

step("Send %d events more", EVENTS)
assert(hooks.webhooks:update(broken.id, { enabled = false }))
local batch = {}
for number = 1, EVENTS do batch[number] = job(number, "succeeded") end
local began = os.time()
assert(hooks:emit_all(batch))
repeat
  local ok, _, left = hooks:drain(0.05)
  progress(EVENTS - (left or 0), EVENTS)
until ok
local seconds = os.time() - began
say("all %d delivered in about %s; the receiver counted %d requests", EVENTS,
  seconds > 1 and seconds .. " s" or "a second", server:total("/ok"))

step "One event to a receiver that says 410, gone"
local gone = assert(hooks.webhooks:create {
  app_id = "other", name = "gone server", url = server.url .. "/status/410", events = { "*" } })
assert(hooks:emit(job(2, "canceled"), { app_id = "other" }))
local refused = hooks.log:where { webhook_id = gone.id, status = "failed" }
repeat hooks:drain(0.1) until refused:count() == 1
say("it is disabled: %s", hooks.webhooks:get(gone.id).disabled_reason)

step "Every attempt of the delivery that was resent"
for id, delivery in hooks.log:where({ webhook_id = broken.id }):each() do
  say("%s is %s", id, delivery.status)
  for _, attempt in ipairs(delivery.attempts) do
    say("  attempt %d  %-6s  %s", attempt.number, attempt.trigger, attempt.error or attempt.response_status_code)
  end
end

step("The delivery log: the newest of %d deliveries", #hooks.log)
print_log(hooks, 8)

step "The same inside nginx: the application of examples/openresty/, with two workers"
local example <close> = openresty_example.start()
local function request(path, body, headers)
  local status, answer = example:post(path, body, headers)
  say("POST %-9s  %s", path, body)
  say("  %d %s", status, (answer:gsub("%s+$", "")))
end
request("/webhooks", ('{"url":"%s/hooks"}'):format(example.url))
request("/jobs", '{"id":"42","status":"failed","stack":"macos-tahoe"}')
wait.for_condition("the event to be logged", 10, function() return #example:list("/log?status=succeeded") == 1 end)
say("GET  /received  %s", (select(2, example:get("/received")):gsub("%s+$", "")))
say("GET  /log       %s", (select(2, example:get("/log")):gsub("%s+$", "")))
say("and with a signature that is forged:")
request("/hooks", '{"event":"job_finished"}', {
  ["webhook-id"] = "forged", ["webhook-timestamp"] = tostring(os.time()), ["webhook-signature"] = "v1," .. ("A"):rep(43) .. "=" })
example:stop()

hooks:close()
folder:remove()
