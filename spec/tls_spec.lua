local sample = require("spec.support.sample")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local webhook = require("webhook")
local with = require("spec.support.with")

describe("TLS", function()
  local receiver

  setup(function()
    receiver = start_receiver({ tls = true })
  end)

  teardown(function()
    receiver:stop()
  end)

  before_each(function()
    receiver:reset()
  end)

  local ways = {
    -- Each returns the status ("succeeded" or "failed") and the error.
    ["a dispatcher"] = function(url, ca_file)
      return temp.with_folder(function(_, folder)
        return with(sample.open(folder, { ca_file = ca_file, timeout = 5 }), function(hooks)
          sample.hook(hooks, url)
          local delivery = sample.deliver(hooks)
          return delivery.status, delivery.attempts[1].error
        end)
      end)
    end,
    ["webhook.send"] = function(url, ca_file)
      local ok, message, code, delivery = webhook.send({
        url = url, event = sample.job_finished(), ca_file = ca_file, timeout = 5,
      })
      if ok then
        return ok.status
      end
      assert.equal("tls", code)
      return delivery.status, message
    end,
  }

  for name, try in pairs(ways) do
    describe("of " .. name, function()
      local function refused(url, ca_file, reason)
        local status, problem = try(url, ca_file)
        assert.equal("failed", status)
        local text = problem:lower()
        assert.truthy(text:find("certificate", 1, true) or text:find("tls", 1, true) or text:find("ssl", 1, true), problem)
        if reason then
          assert.truthy(text:find(reason), problem)
        end
        assert.equal(0, receiver:total())
      end

      it("accepts a certificate of the given authority, and speaks HTTP/2", function()
        local status, problem = try(receiver.tls_url .. "/ok", receiver.ca_file)
        assert.equal("succeeded", status, problem)
        assert.equal("HTTP/2.0", receiver:last("/ok").protocol)
        assert.equal(sample.JOB_FINISHED_BYTES, receiver:last("/ok").body)
      end)

      it("refuses a certificate for another name", function()
        refused(receiver.wrong_host_url .. "/ok", receiver.ca_file, "name")
      end)

      it("refuses an expired certificate", function()
        refused(receiver.expired_url .. "/ok", receiver.ca_file, "expired")
      end)

      it("refuses a certificate of an unknown authority", function()
        refused(receiver.tls_url .. "/ok")
      end)
    end)
  end
end)
