-- A script that posts one message: one attempt, no database. Usage: lua examples/post_one.lua URL [SECRET in $SECRET]
local webhook = require "webhook"

local url = assert(arg[1], "usage: post_one.lua URL")
local delivery, message = webhook.send {
  url = url,
  event = webhook.events.job_finished { id = "42", appId = "app", status = "failed", createdAt = os.time() * 1000 },
  signing_secret = os.getenv("SECRET"), -- the environment, not the command line: others can read that
  timeout = 10,
}
if not delivery then
  io.stderr:write("not delivered: ", message, "\n")
  os.exit(1)
end
print("delivered: " .. delivery.response_status_code)
