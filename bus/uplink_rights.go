package bus

// Uplink is who sends on what an agent has stored on its own bus, as a user, as the name of its consumers and of its dead letters.
// No plugin can be called so.
const Uplink = "~uplink"

// UplinkRights are what an uplink does on the bus of its host: it reads the streams by consumers that it makes, and sets aside
// what cannot go on.
func UplinkRights(host string) Rights {
	r := Rights{Publish: []string{DeadSubject(Uplink)}, Subscribe: []string{inboxes(User(host, Uplink))}}
	for _, stream := range []string{StreamMetrics, StreamEvents, StreamDead} {
		r.Publish = append(r.Publish, "$JS.API.STREAM.INFO."+stream, "$JS.API.CONSUMER.LIST."+stream,
			"$JS.ACK."+stream+".>", "$JS.ACK.*.*."+stream+".>")
		for _, verb := range []string{"CREATE", "INFO", "MSG.NEXT", "RESET", "DELETE"} {
			r.Publish = append(r.Publish, "$JS.API.CONSUMER."+verb+"."+stream+".>")
		}
	}
	return r
}

// SpoolRights are what an agent with a spool does on the bus of the fleet: what each agent does, and as its uplink it stores dead
// letters and asks what of its own host is stored there already. It needs no right to make streams, and of consumers it makes one alone
// whose name and filter are its own. Nothing it publishes on is another host's, nor a plugin's of the fleet.
func SpoolRights(host string) Rights {
	r, h := agentRights(Token(host)), Name(host)
	r.Publish = append(r.Publish, Pattern(AreaDead, h, Any))
	for stream, own := range map[string]string{StreamMetrics: Pattern(AreaMetrics, h, ">"), StreamEvents: Pattern(AreaEvents, h, ">")} {
		at := stream + "." + Token(UplinkOf(host))
		r.Publish = append(r.Publish, "$JS.API.CONSUMER.CREATE."+at+"."+own, "$JS.API.CONSUMER.MSG.NEXT."+at, "$JS.API.CONSUMER.DELETE."+at)
	}
	return r
}

// UplinkOf is the name under which the uplink of a host asks the bus of the fleet.
func UplinkOf(host string) string { return Uplink + "~" + host }
