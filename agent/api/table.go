package api

import "net/http"

// root is where the routes of this version begin.
const root = "/api/v1"

// Types of a body.
var (
	jsonBody   = []string{"application/json"}
	pieceBody  = []string{"application/yaml", "application/json", "text/yaml", "application/x-yaml"}
	pointsBody = []string{"text/x-influx", "application/json", "application/x-pacewire+msgpack", ""}
)

// table lists all that can be asked.
func (s *Server) table() []route {
	const (
		host   = root + "/hosts/{host}"
		plugin = host + "/plugins/{plugin}"
		letter = root + "/dead/{letter}"
	)
	wait := []string{"wait"}
	values := []string{"host", "plugin", "series", "field", "tag"}
	routes := []route{
		{method: http.MethodGet, path: "/-/healthy", do: (*call).healthy, vital: true},
		{method: http.MethodGet, path: "/-/ready", do: (*call).ready, vital: true},
		{method: http.MethodGet, path: "/metrics", do: (*call).metrics},
		{method: http.MethodGet, path: "/openapi.json", do: (*call).openapi},
		{method: http.MethodGet, path: root + "/version", do: (*call).version},
		{method: http.MethodGet, path: root + "/status", do: (*call).status},

		{method: http.MethodGet, path: root + "/hosts", do: (*call).hosts, query: []string{"state", "owner", "site", "label", "limit", "after"}},
		{method: http.MethodGet, path: host, do: (*call).oneHost},
		{method: http.MethodDelete, path: host, do: (*call).forget},
		{method: http.MethodGet, path: host + "/inventory", do: (*call).inventory, query: []string{"facts"}},
		{method: http.MethodGet, path: host + "/inventory/{plugin}/{type}", do: (*call).facts},
		{method: http.MethodPost, path: host + "/refresh", do: (*call).refreshHost, query: []string{"mode"}},
		{method: http.MethodPost, path: root + "/refresh", do: (*call).refresh, query: []string{"mode"}, body: jsonBody},
		{method: http.MethodPost, path: host + "/silence", do: (*call).silence, body: jsonBody},
		{method: http.MethodDelete, path: host + "/silence", do: (*call).unsilence},
		{method: http.MethodPost, path: host + "/reload", do: (*call).reload, query: []string{"dry_run", "wait"}},
		{method: http.MethodGet, path: root + "/jobs/{id}", do: (*call).job},

		{method: http.MethodGet, path: root + "/plugins", do: (*call).fleetPlugins, query: []string{"host", "state", "owner", "site", "label", "limit", "after"}},
		{method: http.MethodGet, path: host + "/plugins", do: (*call).hostPlugins},
		{method: http.MethodGet, path: plugin, do: (*call).onePlugin},
		{method: http.MethodPut, path: plugin, do: (*call).load, query: wait, body: pieceBody},
		{method: http.MethodDelete, path: plugin, do: (*call).unload, query: wait},
		{method: http.MethodPost, path: plugin + "/swap", do: (*call).swap, query: wait, body: jsonBody},
		{method: http.MethodGet, path: plugin + "/logs", do: (*call).logs, query: []string{"after", "tail"}},

		{method: http.MethodGet, path: root + "/series", do: (*call).series, query: values, heavy: true},
		{method: http.MethodGet, path: root + "/values", do: (*call).values, query: append([]string{"limit", "after"}, values...), heavy: true},
		{method: http.MethodGet, path: root + "/values/history", do: (*call).history, query: append([]string{"limit", "since"}, values...), heavy: true},
		{method: http.MethodPost, path: root + "/points", do: (*call).points, query: []string{"host", "as"}, body: pointsBody},
		{method: http.MethodGet, path: root + "/graph", do: (*call).graph, query: []string{"host", "format"}, heavy: true},

		{method: http.MethodPost, path: plugin + "/replay", do: (*call).replay, query: []string{"since", "until", "wait"}},
		{method: http.MethodDelete, path: plugin + "/replay", do: (*call).stopReplay, query: wait},
		{method: http.MethodGet, path: root + "/dead", do: (*call).letters, query: []string{"plugin", "reason", "limit", "after"}, heavy: true},
		{method: http.MethodGet, path: letter, do: (*call).letter},
		{method: http.MethodPost, path: letter + "/retry", do: (*call).retryLetter, query: []string{"host"}},
		{method: http.MethodDelete, path: letter, do: (*call).dropLetter},

		{method: http.MethodGet, path: root + "/events", do: (*call).events, query: []string{"host", "plugin", "type", "limit", "since", "after"}, heavy: true},
		{method: http.MethodGet, path: root + "/events/stream", do: (*call).followEvents, query: []string{"host", "plugin", "type", "after"}, stream: true},
		{method: http.MethodGet, path: root + "/tap/stream", do: (*call).tap, query: []string{"host", "plugin", "rate"}, stream: true},
	}
	for _, verb := range []string{"start", "stop", "restart", "upgrade"} {
		do := func(c *call) error { return c.operatePlugin(verb, nil) }
		routes = append(routes, route{method: http.MethodPost, path: plugin + "/" + verb, do: do, query: wait})
	}
	return routes
}
