local cjson = require("cjson")
local http = require("socket.http")
local ltn12 = require("ltn12")
local shell = require("spec.support.shell")
local socket = require("socket")
local wait = require("spec.support.wait")
local start_receiver = require("spec.support.receiver").start

describe("the test receiver", function()
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

  local function post(path, body, headers)
    body = body or "{}"
    local all = { ["content-length"] = #body, ["content-type"] = "application/json" }
    for name, value in pairs(headers or {}) do
      all[name] = value
    end
    local parts = {}
    local _, status, answer_headers = http.request({
      url = receiver.url .. path,
      method = "POST",
      headers = all,
      source = ltn12.source.string(body),
      sink = ltn12.sink.table(parts),
      redirect = false,
    })
    return status, table.concat(parts), answer_headers
  end

  -- Sends a POST on a connection of its own and leaves that open.
  local function open_post(path, id)
    local client = assert(socket.connect("127.0.0.1", receiver.port))
    client:settimeout(10)
    assert(client:send(("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nWebhook-Id: %s\r\n\r\n{}"):format(path, id)))
    return client
  end

  it("answers and counts /ok", function()
    local status, body = post("/ok", "{}", { ["webhook-id"] = "msg_1" })
    assert.equal(200, status)
    assert.equal("ok", body)
    post("/ok", "{}", { ["webhook-id"] = "msg_1" })
    post("/ok", "{}", { ["webhook-id"] = "msg_2" })
    assert.equal(3, receiver:total("/ok"))
    assert.equal(3, receiver:total())
    assert.equal(2, receiver:count("msg_1"))
    assert.equal(0, receiver:count("msg_3"))
    assert.same({ msg_1 = 2, msg_2 = 1 }, receiver:ids())
  end)

  it("forgets everything on reset", function()
    post("/ok", "{}", { ["webhook-id"] = "msg_1" })
    receiver:reset()
    assert.equal(0, receiver:total("/ok"))
    assert.equal(0, receiver:connections("/ok"))
    assert.same({}, receiver:ids())
    assert.is_nil(receiver:last("/ok"))
  end)

  it("keeps the last request byte for byte", function()
    local every_byte = {}
    for byte = 0, 255 do
      every_byte[#every_byte + 1] = string.char(byte)
    end
    local body = table.concat(every_byte):rep(8192) -- 2 MiB: past the buffer
    post("/ok", body, { ["webhook-id"] = "msg_1", ["X-Thing"] = "a b" })
    local last = receiver:last("/ok")
    assert.is_true(body == last.body)
    assert.equal("msg_1", last.headers["webhook-id"])
    assert.equal("a b", last.headers["x-thing"])
    assert.equal("HTTP/1.1", last.protocol)
  end)

  it("answers the status that the path names", function()
    for _, status in ipairs({ 200, 204, 400, 404, 410, 429, 500, 503 }) do
      assert.equal(status, (post("/status/" .. status)))
    end
    assert.equal(1, receiver:total("/status/410"))
    assert.equal(8, receiver:total())
  end)

  it("fails the first requests of each id on /flaky", function()
    for _, id in ipairs({ "msg_a", "msg_b" }) do
      local seen = {}
      for attempt = 1, 3 do
        seen[attempt] = post("/flaky/2", "{}", { ["webhook-id"] = id })
      end
      assert.same({ 500, 500, 200 }, seen)
    end
  end)

  it("holds the connection on /hang and notices when it is closed", function()
    local first, second = open_post("/hang", "msg_1"), open_post("/hang", "msg_2")
    wait.for_condition("two hanging requests", 5, function()
      return receiver:stats("/hang").active == 2
    end)
    first:settimeout(0.05)
    local _, problem = first:receive(1)
    assert.equal("timeout", problem)
    first:close()
    second:close()
    wait.for_condition("no hanging request", 5, function()
      return receiver:stats("/hang").active == 0
    end)
    assert.equal(2, receiver:max_concurrent("/hang"))
    assert.equal(2, receiver:connections("/hang"))
  end)

  it("streams on /huge until the client goes", function()
    local client = open_post("/huge", "msg_1")
    assert.equal(1024 * 1024, #assert(client:receive(1024 * 1024)))
    client:close()
    wait.for_condition("the stream to end", 5, function()
      return receiver:stats("/huge").active == 0
    end)
    local sent = receiver:stats("/huge").sent
    assert.is_true(sent >= 1000 * 1000 and sent < 1024 * 1024 * 1024)
  end)

  it("echoes headers", function()
    local _, body = post("/echo-headers", "{}", { ["X-Mine"] = "yes" })
    assert.equal("yes", cjson.decode(body)["x-mine"])
  end)

  it("is slow on /slow", function()
    local before = socket.gettime()
    assert.equal(200, (post("/slow/100")))
    assert.is_true(socket.gettime() - before >= 0.09)
  end)

  it("trickles", function()
    local _, body = post("/trickle/3")
    assert.equal("...", body)
    local client = open_post("/trickle", "msg_1")
    assert.equal("HTTP/1.1 200 OK", client:receive("*l"))
    client:close()
  end)

  it("answers bytes that are no text on /binary", function()
    local _, body = post("/binary")
    assert.equal("\0\1\127\128\200\255\0end\195\40", body)
  end)

  it("redirects", function()
    local status, _, headers = post("/redirect")
    assert.equal(302, status)
    assert.truthy(headers.location:find("/ok$"))
    assert.equal(0, receiver:total("/ok"))
  end)

  it("closes without an answer on /reset", function()
    local client = open_post("/reset", "msg_1")
    local data, problem = client:receive(1)
    assert.is_nil(data)
    assert.equal("closed", problem)
    client:close()
    assert.equal(1, receiver:count("msg_1"))
  end)

  it("counts connections, not requests", function()
    local client = open_post("/ok", "msg_1")
    local request = "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nWebhook-Id: msg_2\r\n\r\n"
    for _ = 1, 2 do
      assert.equal("HTTP/1.1 200 OK", client:receive("*l"))
      repeat
        local line = client:receive("*l")
      until line == ""
      assert.equal("ok", client:receive(2))
      client:send(request)
    end
    assert.equal("HTTP/1.1 200 OK", client:receive("*l"))
    client:close()
    assert.equal(3, receiver:total("/ok"))
    assert.equal(1, receiver:connections("/ok"))
  end)

  it("remembers 20,000 ids", function()
    local client = assert(socket.connect("127.0.0.1", receiver.port))
    client:settimeout(30)
    local batch_size, batches = 200, 100
    for batch = 1, batches do
      local requests = {}
      for index = 1, batch_size do
        requests[index] = ("POST /status/204 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nWebhook-Id: msg_%d\r\n\r\n"):format(
          (batch - 1) * batch_size + index
        )
      end
      assert(client:send(table.concat(requests)))
      local answers = 0
      while answers < batch_size do
        if assert(client:receive("*l")) == "" then
          answers = answers + 1
        end
      end
    end
    client:close()
    local ids, seen = receiver:ids(), 0
    for _, count in pairs(ids) do
      assert.equal(1, count)
      seen = seen + 1
    end
    assert.equal(batch_size * batches, seen)
    assert.equal(1, ids.msg_20000)
  end)

  local function handshake(port)
    return shell.run(
      ("unset LD_PRELOAD; openssl s_client -connect 127.0.0.1:%d -servername localhost -CAfile %s"
        .. " -verify_hostname localhost -verify_return_error -alpn h2 </dev/null"):format(port, shell.quote(receiver.ca_file))
    )
  end

  it("serves HTTP/2 with a certificate for localhost", function()
    local output = handshake(receiver.tls_port)
    assert.truthy(output:find("Verify return code: 0 (ok)", 1, true), output)
    assert.truthy(output:find("ALPN protocol: h2", 1, true), output)
  end)

  it("serves a certificate for another name", function()
    local output = handshake(receiver.wrong_host_port)
    assert.truthy(output:lower():find("hostname mismatch", 1, true), output)
  end)

  it("serves an expired certificate", function()
    local output = handshake(receiver.expired_port)
    assert.truthy(output:find("certificate has expired", 1, true), output)
  end)

  it("ends at once although a request hangs, and leaves nothing behind", function()
    local other = start_receiver({ tls = false })
    local client = assert(socket.connect("127.0.0.1", other.port))
    client:send("POST /hang HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    wait.for_condition("the hanging request", 5, function()
      return other:stats("/hang").active == 1
    end)
    local folder = other.folder.path
    other:stop()
    client:close()
    assert.is_nil(socket.connect("127.0.0.1", other.port))
    local _, code = shell.run("test -e " .. shell.quote(folder))
    assert.equal(1, code)
    assert.is_nil(other.tls_url)
  end)
end)
