local cjson = require("cjson")
local flavour = require("spec.support.flavour")
local process = require("spec.support.process")
local raises = require("spec.support.raises")
local sample = require("spec.support.sample")
local server = require("spec.support.server")
local shell = require("spec.support.shell")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local webhook = require("webhook")

local CHILD_SECONDS = 60

-- Sends the sample with these options.
local function send(url, options)
  local all = { url = url, event = sample.job_finished(), timeout = 20 }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return webhook.send(all)
end

describe("a request", function()
  local receiver, folder

  setup(function()
    receiver = start_receiver({ tls = true })
  end)

  teardown(function()
    receiver:stop()
  end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
  end)

  after_each(function()
    folder:remove()
  end)

  it("never asks whether its body is welcome", function()
    local event = { event = "job_finished", data = { filling = ("x"):rep(2 * 1024 * 1024) } } -- from 1 MB on curl would
    assert(send(receiver.url .. "/ok", { event = event }))
    assert.is_nil(receiver:last("/ok").headers.expect)
  end)

  it("is HTTP/2 or 1.1, as it is told", function()
    -- 2 comes first: it would use an open connection of 1.1 too, which 1.1 does not the other way.
    for _, case in ipairs({ { "2", "HTTP/2.0" }, { "1.1", "HTTP/1.1" } }) do
      assert(send(receiver.tls_url .. "/ok", { ca_file = receiver.ca_file, http_version = case[1] }))
      assert.equal(case[2], receiver:last("/ok").protocol)
    end
    assert(send(receiver.url .. "/ok", { http_version = "2" }))
    assert.equal("HTTP/1.1", receiver:last("/ok").protocol)
  end)

  it("says which options are wrong", function()
    local event = sample.job_finished()
    raises("unknown http_version '3'", function()
      local _ = webhook.send({ url = receiver.url, event = event, http_version = "3" })
    end)
    raises("'client_key' needs a 'client_cert'", function()
      local _ = webhook.send({ url = receiver.url, event = event, client_key = "key.pem" })
    end)
    local delivery, message, code = send(receiver.url, { proxy = "socks5://someone:geheim@127.0.0.1" })
    assert.is_nil(delivery)
    assert.equal("proxy: scheme 'socks5' is not allowed: use http or https", message)
    assert.equal("invalid", code)
  end)

  it("trusts the authorities of its own ca_file, not those of one before it", function()
    shell.check(("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key -out ca.pem "
      .. "-days 2 -subj /CN=stranger"):format(shell.quote(folder.path)))
    for _ = 1, 2 do
      assert(send(receiver.tls_url .. "/ok", { ca_file = receiver.ca_file }))
      for _, other in ipairs({ { ca_file = folder:file("ca.pem") }, {} }) do
        local delivery, message, code = send(receiver.tls_url .. "/ok", other)
        assert.is_nil(delivery)
        assert.equal("tls", code, message)
      end
    end
    assert.equal(2, receiver:total("/ok"))
  end)

  describe("to a receiver that asks who calls", function()
    local function call(options)
      options.ca_file = receiver.ca_file
      return send(receiver.asking_url .. "/ok", options)
    end

    local function assert_unknown(options)
      local delivery, _, code, failed = call(options)
      assert.is_nil(delivery)
      assert.equal("status", code)
      assert.equal(400, failed.response_status_code)
    end

    it("shows its own certificate, not that of one before it", function()
      local callers = receiver.callers
      for _ = 1, 2 do
        assert(call({ client_cert = callers.caller.cert, client_key = callers.caller.key }))
        assert.equal("CN=caller", receiver:last("/ok").caller)
        assert_unknown({})
        assert(call({ client_cert = callers.other_caller.cert, client_key = callers.other_caller.key }))
        assert.equal("CN=other caller", receiver:last("/ok").caller)
      end
      assert.equal(4, receiver:total("/ok"))
    end)

    it("takes the key from the certificate's file", function()
      local both = folder:file("both.pem")
      local caller = receiver.callers.caller
      shell.write_file(both, shell.read_file(caller.cert) .. shell.read_file(caller.key))
      assert(call({ client_cert = both }))
      assert.equal("CN=caller", receiver:last("/ok").caller)
    end)

    -- On a terminal of its own, where OpenSSL would ask and wait.
    it("asks nobody for a passphrase", function()
      local caller, locked, script = receiver.callers.caller, folder:file("locked.pem"), folder:file("child.lua")
      shell.check(("( cat %s && openssl pkey -in %s -aes256 -passout pass:geheim ) >%s"):format(
        shell.quote(caller.cert), shell.quote(caller.key), shell.quote(locked)))
      shell.write_file(script, [[
        local event = { event = "x", data = {} }
        print(select(2, require("webhook").send({ url = arg[1], event = event, ca_file = arg[2], client_cert = arg[3] })))
      ]])
      local child = process.spawn({ "script", "-qec",
        shell.command({ flavour.interpreter, script, receiver.asking_url .. "/ok", receiver.ca_file, locked }), "/dev/null",
      }, { env = process.lua_environment() })
      assert.equal(0, child:wait(CHILD_SECONDS), child:output())
      assert.truthy(child:output():find("is not PEM with a certificate and its key without a passphrase", 1, true),
        child:output())
      assert.is_nil(child:output():lower():find("enter", 1, true), child:output())
      child:close()
    end)

    it("names the file that fails", function()
      local other = receiver.callers.other_caller
      -- A copy: what another test left connected serves whoever names the same certificate.
      local caller = { cert = folder:file("caller.pem"), key = receiver.callers.caller.key }
      local locked = folder:file("locked.key")
      shell.write_file(caller.cert, shell.read_file(receiver.callers.caller.cert))
      shell.check(("openssl pkey -in %s -aes256 -passout pass:geheim -out %s"):format(
        shell.quote(caller.key), shell.quote(locked)))
      for _, case in ipairs({
        { client_cert = folder:file("none.pem"), says = "client_cert " .. folder:file("none.pem") .. " cannot be read: No such" },
        { client_cert = caller.cert, client_key = folder:file("none"), says = "client_key " .. folder:file("none") .. " cannot" },
        { client_cert = caller.cert, client_key = other.key, says = "do not fit each other" },
        { client_cert = caller.cert, client_key = locked, says = "not PEM without a passphrase" },
        { client_cert = caller.cert, says = "client_cert " .. caller.cert .. " is not PEM with a certificate and its key" },
        { client_cert = caller.key, says = "client_cert " .. caller.key .. " is not PEM with a certificate and its key" },
      }) do
        local delivery, message, code = call({ client_cert = case.client_cert, client_key = case.client_key })
        assert.is_nil(delivery)
        assert.equal("tls", code)
        assert.truthy(message:find(case.says, 1, true), message)
      end
      assert.equal(0, receiver:total())
    end)
  end)

  describe("through a proxy", function()
    local proxy

    setup(function()
      proxy = server.start("forward_proxy")
    end)

    teardown(function()
      local running, output = proxy:running(), proxy:output()
      proxy:stop()
      assert(running, output)
    end)

    local function proxy_url(user)
      return ("http://%s:geheim@127.0.0.1:%d"):format(user, proxy.ports.http)
    end

    -- How often it was asked: "CONNECT" or "POST" -> count.
    local function asked()
      local counts = {}
      for line in proxy:output():gmatch("[^\n]+") do
        local method = cjson.decode(line).method
        counts[method] = (counts[method] or 0) + 1
      end
      return counts
    end

    it("reaches http and https receivers, whose answers are their own", function()
      local before = asked()
      local delivery = assert(send(receiver.url .. "/ok", { proxy = proxy_url("someone") }))
      assert.equal("ok", delivery.response_body)
      assert.equal((before.POST or 0) + 1, asked().POST)
      delivery = assert(send(receiver.tls_url .. "/ok", { proxy = proxy_url("someone"), ca_file = receiver.ca_file }))
      assert.equal("ok", delivery.response_body)
      assert.equal((before.CONNECT or 0) + 1, asked().CONNECT)
      local headers = receiver:last("/ok").headers
      assert.is_nil(headers["proxy-authorization"])
    end)

    it("verifies the receiver's certificate", function()
      local delivery, message, code = send(receiver.tls_url .. "/ok", { proxy = proxy_url("someone") })
      assert.is_nil(delivery)
      assert.equal("tls", code, message)
      assert.equal(0, receiver:total())
    end)

    it("is told apart by its credentials, which no error repeats", function()
      for _, user in ipairs({ "someone", "another", "stranger" }) do
        local connects = asked().CONNECT or 0
        local delivery, message, code, failed = send(receiver.tls_url .. "/ok", {
          proxy = proxy_url(user), ca_file = receiver.ca_file,
        })
        assert.equal(connects + 1, asked().CONNECT)
        if user == "stranger" then
          assert.is_nil(delivery)
          assert.equal("connect", code)
          assert.equal("the proxy did not connect to localhost: it answered 407", message)
          assert.is_nil(failed.response_body)
        else
          assert.is_table(delivery, message)
        end
      end
      local delivery, message, code = send(receiver.url .. "/ok", { proxy = proxy_url("stranger") })
      assert.is_nil(delivery)
      assert.equal("the receiver answered 407", message) -- to plain HTTP the proxy answers in its place
      assert.equal("status", code)
      assert.equal(2, receiver:total("/ok"))
    end)

    it("is none that the environment names, nor is it kept from one", function()
      local script = folder:file("child.lua")
      shell.write_file(script, [[
        local webhook = require("webhook")
        local url, proxy = arg[1], arg[2]
        local function send(through)
          assert(webhook.send({ url = url, event = { event = "x", data = {} }, proxy = through }))
        end
        send()
        send(proxy)
        send()
      ]])
      local nowhere = "http://127.0.0.1:1"
      local posts = asked().POST or 0
      local child = process.start(script, {
        args = { receiver.url .. "/ok", proxy_url("someone") },
        env = { http_proxy = nowhere, HTTP_PROXY = nowhere, all_proxy = nowhere, ALL_PROXY = nowhere, no_proxy = "127.0.0.1" },
      })
      assert.equal(0, child:wait(CHILD_SECONDS), child:output())
      child:close()
      assert.equal(3, receiver:total("/ok"))
      assert.equal(posts + 1, asked().POST)
    end)
  end)
end)
