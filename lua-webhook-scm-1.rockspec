rockspec_format = "3.0"
package = "lua-webhook"
version = "scm-1"
source = { url = "git+https://github.com/lua-webhook/lua-webhook.git" }
description = {
  summary = "Sends webhooks and never loses one",
  detailed = "Formats, signs, delivers, retries and logs webhooks; a C core on libcurl and SQLite.",
  license = "MIT",
}
dependencies = { "lua >= 5.1, < 5.5", "lua-cjson >= 2.1.0" }
external_dependencies = {
  CURL = { header = "curl/curl.h" },
  OPENSSL = { header = "openssl/evp.h" },
  SQLITE = { header = "sqlite3.h" },
}
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "Release",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    LIBDIR = "$(LIBDIR)",
    LUADIR = "$(LUADIR)",
  },
}
test = { type = "command", command = "busted" }
