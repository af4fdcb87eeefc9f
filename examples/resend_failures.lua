-- Resends all failures of today. Usage: lua examples/resend_failures.lua webhooks.db
local webhook = require "webhook"

local path = assert(arg[1], "usage: resend_failures.lua DATABASE")
local hooks = assert(webhook.open(path))
local today = os.date("*t")
local midnight = os.time { year = today.year, month = today.month, day = today.day, hour = 0 } * 1000
local failed = hooks.log:where { status = "failed", since = midnight }
print(("%d failed today"):format(failed:count()))
print(("%d resent"):format(assert(failed:resend())))
local ok, _, left = hooks:drain(60)
print(ok and "all done" or ("%d still on their way"):format(left))
hooks:close()
