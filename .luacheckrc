-- What every Lua has, and what some have, asked for before it is used.
std = "min"
read_globals = {
  "loadstring", "newproxy", "unpack", math = { fields = { "type", "tointeger", "mininteger", "maxinteger" } },
  table = { fields = { "unpack" } },
}
max_line_length = 140
exclude_files = { "build*", "lua_modules" }

files["lua/webhook/resty.lua"] = { std = "ngx_lua" }
files["lua/webhook/wait.lua"] = { read_globals = { "ngx" } }
files["lua/webhook/wait_nginx.lua"] = { read_globals = { "ngx" } }
files["spec"] = { std = "min+busted" }
files["spec/support/receiver_handler.lua"] = { std = "ngx_lua" }
files["spec/support/nginx_hooks.lua"] = { std = "ngx_lua" }
files["spec/support/lock_child.lua"] = { std = "luajit" }
files["examples"] = { globals = { "ngx" } }
