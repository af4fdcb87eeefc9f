-- What the specs send, and waiting for what becomes of it.
local wait = require("spec.support.wait")
local webhook = require("webhook")

local sample = { app_id = "70922e93-0944-48cc-a560-61135ab291ad" }

sample.LOCAL = { "127.0.0.0/8" }

--- The documented job_finished payload: the fields that are given, not the derived ones.
function sample.job_finished()
  return webhook.events.job_finished({
    id = "16555c02-a320-4bec-a14a-52754d783970",
    appBuildId = "647d1fe4-9cb7-4f25-afaf-7a0c13a1bb8c",
    appId = sample.app_id,
    canceledAt = 1771143284003,
    canceledBy = "f624e455-b19c-4f17-8282-e4a7a02597f3",
    finishedAt = 1771143284003,
    inProgressAt = 1771143275311,
    organizationId = "a7249949-a705-4952-a293-a06df84950dc",
    pendingAt = 1771143256381,
    stack = "macos-tahoe",
    status = "canceled",
    createdAt = 1771143256161,
    createdBy = "f624e455-b19c-4f17-8282-e4a7a02597f3",
  })
end

--- Its bytes, written by hand.
sample.JOB_FINISHED_BYTES = '{"event":"job_finished","data":{"id":"16555c02-a320-4bec-a14a-52754d783970",'
  .. '"appBuildId":"647d1fe4-9cb7-4f25-afaf-7a0c13a1bb8c","appDeploymentId":null,'
  .. '"appId":"70922e93-0944-48cc-a560-61135ab291ad","canceledAt":1771143284003,'
  .. '"canceledBy":"f624e455-b19c-4f17-8282-e4a7a02597f3","finishedAt":1771143284003,'
  .. '"inProgressAt":1771143275311,"inProgressTimeInSeconds":8,'
  .. '"organizationId":"a7249949-a705-4952-a293-a06df84950dc","pendingAt":1771143256381,'
  .. '"pendingTimeInSeconds":18,"queuedAt":null,"queueTimeInSeconds":null,"stack":"macos-tahoe",'
  .. '"status":"canceled","totalTimeInSeconds":27,"createdAt":1771143256161,'
  .. '"createdBy":"f624e455-b19c-4f17-8282-e4a7a02597f3"}}'

--- An open dispatcher on a file in `folder`; `options` are added to allow_networks and retry = false.
function sample.open(folder, options)
  local all = { allow_networks = sample.LOCAL, retry = false }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return assert(webhook.open(folder:file("webhooks.db"), all))
end

--- A webhook for all events of the sample's app.
function sample.hook(hooks, url, fields)
  local all = { name = "receiver", app_id = sample.app_id, url = url, events = { "*" } }
  for name, value in pairs(fields or {}) do
    all[name] = value
  end
  return assert(hooks.webhooks:create(all))
end

--- Emits the sample's event, and waits until its only delivery is finished.
function sample.deliver(hooks)
  local message = assert(hooks:emit(sample.job_finished()))
  assert(message.deliveries == 1)
  return sample.finished(hooks, message)
end

--- Waits until the only delivery of a message is no longer pending, and returns it.
function sample.finished(hooks, message)
  return wait.for_condition("the delivery to finish", 10, function()
    for _, delivery in hooks.log:each() do
      if delivery.message_id == message.id and delivery.status ~= "pending" then
        return delivery
      end
    end
  end)
end

return sample
