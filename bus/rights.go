package bus

import (
	"slices"
	"time"
)

// Role is what a user of the bus is there for. Those of plugins are called as
// their kinds.
type Role string

// The roles, which RightsOf knows.
const (
	RoleCollector Role = "collector"
	RoleProcessor Role = "processor"
	RolePublisher Role = "publisher"
	RoleAgent     Role = "agent"    // looks after the plugins of one host
	RoleReader    Role = "reader"   // sees all that plugins send
	RoleHub       Role = "hub"      // watches all agents
	RoleOperator  Role = "operator" // may do everything
)

// Rights are subjects that a user may publish on and subscribe to, and how often
// it may answer a request, within which time. An embedded server takes them as
// embedded.Rights(r).
type Rights struct {
	Publish, Subscribe []string
	Responses          int
	ResponseTime       time.Duration
}

// RightsOf returns the least rights with which a user of role does its work. host
// and plugin are names and make the user's own (see User); inputs are what a
// processor or publisher reads. A reader, hub or operator is no plugin: plugin is
// then the user itself and host says nothing. An unknown role may nothing.
//
// A role that writes a stream must not read one by direct get, and none may make
// consumers: both would make the bus write to others. Operators and hubs may, they
// are trusted.
func RightsOf(role Role, host, plugin string, inputs []Input) Rights {
	return RightsOfProcess(role, host, plugin, plugin, inputs)
}

// RightsOfProcess returns the rights of one of several processes of a plugin, which is called process: it beats, listens and logs
// as itself, and what it sends is the plugin's.
func RightsOfProcess(role Role, host, plugin, process string, inputs []Input) Rights {
	switch {
	case role == RoleAgent:
		return agentRights(Token(host))
	case role == RoleReader:
		return readerRights(plugin)
	case role == RoleHub:
		return hubRights(plugin)
	case role == RoleOperator:
		return Rights{Publish: []string{">"}, Subscribe: []string{">"}}
	case plugin == Agent:
		return Rights{} // that name is the agent's
	}
	p := Name(plugin)
	r := pluginRights(Token(host), Token(process))
	if process != plugin {
		r.Publish = append(r.Publish, Pattern(AreaEvents, Name(host), p, Any))
	}
	switch role {
	case RoleCollector:
		r.Publish = append(r.Publish, MetricsSubject(host, plugin))
		return r
	case RoleProcessor:
		r.Publish = append(r.Publish, MetricsFilter(plugin), Pattern(AreaEvents, Any, p, Any))
	case RolePublisher:
	default:
		return Rights{}
	}
	r.Publish = append(r.Publish, DeadSubject(plugin))
	for _, in := range slices.Concat(inputs, Errands(plugin, inputs)) { // whose consumers only others can make
		r.Publish = append(r.Publish, in.subjects()...)
	}
	return r
}

// subjects are what a reader of the durable consumer publishes on: to ask for its
// state and for messages, and to settle them, in either form of the ack.
func (in Input) subjects() []string {
	at := in.Stream + "." + Token(in.Durable)
	all := []string{
		"$JS.API.CONSUMER.INFO." + at,
		"$JS.API.CONSUMER.MSG.NEXT." + at,
		"$JS.ACK." + at + ".>",
		"$JS.ACK.*.*." + at + ".>",
	}
	if in.Ordered {
		all = append(all, leaseInput(in.Durable).subjects()...)
	}
	return all
}

// pluginRights are those of every plugin; h and p are tokens.
func pluginRights(h, p string) Rights {
	host, plugin := Part(h), Part(p)
	return Rights{
		Publish: []string{
			Pattern(AreaBeat, host, plugin, HTB),
			Pattern(AreaBeat, host, plugin, PLG),
			Pattern(AreaLog, host, plugin),
			Pattern(AreaEvents, host, plugin, Any),
			Pattern(AreaHTTP, host, plugin, Any, "down"),
		},
		Subscribe: []string{
			inboxes(userOf(h, p)),
			Pattern(AreaCtl, host, plugin, Any),
			Pattern(AreaHTTP, host, plugin),
			Pattern(AreaHTTP, host, plugin, Any, "up"),
		},
		Responses: 1, ResponseTime: 10 * time.Second,
	}
}

func agentRights(h string) Rights {
	host := Part(h)
	return Rights{
		Publish: []string{
			Pattern(AreaBeat, host, Agent, Any),
			Pattern(AreaCtl, host, Any, Any),
			Pattern(AreaHTTP, host, Any),
			Pattern(AreaLog, host, Any),
			Pattern(AreaEvents, host, Any, Any),
			Pattern(AreaMetrics, host, Any),
			HubSubject("status"), // no more: what hubs know of others, and can do to them, is not a host's business
		},
		Subscribe: []string{
			inboxes(userOf(h, Agent)),
			Pattern(AreaBeat, host, Any, HTB),
			Pattern(AreaBeat, host, Any, PLG),
			Pattern(AreaLog, host, Any),
			Pattern(AreaCtl, host, Agent, Any),
			Pattern(AreaHTTP, host, Agent),
		},
		Responses: 64, ResponseTime: 30 * time.Second,
	}
}

func readerRights(user string) Rights {
	return Rights{
		Publish: append(readerVerbs(), "$JS.API.STREAM.INFO.*", "$JS.API.DIRECT.GET.EVENTS", "$JS.API.DIRECT.GET.EVENTS.>",
			"$JS.API.DIRECT.GET.DEAD", "$JS.API.DIRECT.GET.DEAD.>"),
		Subscribe: []string{
			inboxes(user),
			Pattern(AreaMetrics, ">"),
			Pattern(AreaEvents, ">"),
			Pattern(AreaBeat, Any, Any, HTB),
			Pattern(AreaLog, ">"),
		},
	}
}

// readerVerbs are the requests to the hub that change nothing.
func readerVerbs() []string {
	var all []string
	for _, verb := range []string{"hosts", "host", "inventory", "plugins", "status", "job"} {
		all = append(all, HubSubject(verb))
	}
	return all
}

// hubRights let a hub ask every agent, write events and its buckets, and look after streams and their consumers.
func hubRights(user string) Rights {
	r := Rights{
		Publish: []string{
			Pattern(AreaCtl, Any, Any, Any),
			Pattern(AreaEvents, ">"),
			Pattern(AreaMetrics, ">"), // points that come by its API
			"$JS.API.INFO",
			Pattern(AreaAgain, Any), // dead letters that are given again, or dropped
			"$JS.API.DIRECT.GET." + StreamDead,
			"$JS.API.STREAM.MSG.DELETE." + StreamDead,
		},
		Subscribe: []string{
			inboxes(user),
			Pattern(AreaBeat, Any, Agent, Any),
			Pattern(AreaHub, Any),
		},
		Responses: 1, ResponseTime: 30 * time.Second,
	}
	for _, stream := range []string{StreamMetrics, StreamEvents, StreamDead} {
		r.Publish = append(r.Publish, looksAfter(stream)...)
	}
	for _, bucket := range []string{BucketHosts, BucketInventory, BucketState, BucketHub} {
		subjects := subjectOfBucket + bucket + ".>"
		r.Publish = append(r.Publish, subjects, "$JS.API.DIRECT.GET."+streamOfBucket+bucket+"."+subjects)
		r.Publish = append(r.Publish, looksAfter(streamOfBucket+bucket)...)
	}
	return r
}

// looksAfter is what makes, changes and reads a stream, but does not delete it.
func looksAfter(stream string) []string {
	var all []string
	for _, what := range []string{"STREAM.CREATE.", "STREAM.UPDATE.", "STREAM.INFO.", "CONSUMER.LIST."} {
		all = append(all, "$JS.API."+what+stream)
	}
	for _, what := range []string{"CREATE.", "INFO.", "MSG.NEXT.", "DELETE."} {
		all = append(all, "$JS.API.CONSUMER."+what+stream+".>")
	}
	return all
}

// inboxes are where the answers to user come.
func inboxes(user string) string { return "_INBOX_" + user + ".>" }
