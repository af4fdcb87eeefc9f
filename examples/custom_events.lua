-- Events of the application's own. Usage: lua examples/custom_events.lua
local webhook = require "webhook"

webhook.events.define("invoice_paid", {
  fields = { { "invoiceId", "string" }, { "amount", "number" }, { "lines", "table" } },
  title = "Invoice paid",
})
local event = webhook.events.invoice_paid { invoiceId = "2026-117", amount = 99.5, lines = { { sku = "a", count = 3 } } }
print(webhook.format(event, "raw"))

-- What JSON cannot carry is a clear error that names the path.
local bad = { event = "invoice_paid", data = { invoiceId = "2026-118", lines = { { sku = print } } } }
print(webhook.format(bad, "raw"))
