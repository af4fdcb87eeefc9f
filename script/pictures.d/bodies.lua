-- Writes real bodies for script/pictures: <folder>/<format>-<number>.json. Usage: lua5.4 bodies.lua folder
local webhook = require "webhook"

local folder = assert(arg[1], "usage: lua5.4 bodies.lua folder")
local FINISHED = 1771143284003 -- 2026-02-15 08:14:44 UTC; every time is fixed, so that the pictures stay the same

-- A job does not say its platform, so an application that knows it adds it.
local function build(status, job, app_build)
  local event = webhook.events.job_finished {
    id = job, appBuildId = app_build, appId = "70922e93-0944-48cc-a560-61135ab291ad",
    organizationId = "a7249949-a705-4952-a293-a06df84950dc", createdBy = "f624e455-b19c-4f17-8282-e4a7a02597f3",
    stack = "macos-tahoe", status = status,
    createdAt = FINISHED - 87000, pendingAt = FINISHED - 86000, inProgressAt = FINISHED - 64000,
    finishedAt = FINISHED,
  }
  event.data.platform = "ios"
  return event
end

webhook.events.define("invoice_paid", {
  fields = { { "invoiceId", "string" }, { "customer", "string" }, { "amount", "integer" }, { "paidAt", "integer" } },
  title = "Invoice {invoiceId} paid", text = "{customer} paid {amount} EUR.", severity = "success",
  link = "https://billing.example.com/invoices/{invoiceId}",
})

local events = {
  build("failed", "16555c02-a320-4bec-a14a-52754d783970", "647d1fe4-9cb7-4f25-afaf-7a0c13a1bb8c"),
  build("succeeded", "8d0e61b7-5c3f-4a92-b7d8-1f6a90c2e354", "b29f7c10-63ae-4d58-9e04-c8715d2fa6e3"),
  webhook.events.invoice_paid {
    invoiceId = "2026-117", customer = "Fish & Chips Ltd", amount = 1250, paidAt = FINISHED,
  },
}

for _, format in ipairs { "slack", "discord", "teams" } do
  for number, event in ipairs(events) do
    local file = assert(io.open(("%s/%s-%d.json"):format(folder, format, number), "w"))
    file:write((assert(webhook.format(event, format))))
    file:close()
  end
end
