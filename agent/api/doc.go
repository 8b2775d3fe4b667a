// Package api answers HTTP for a hub.
//
// A request passes the guard (guard.go) in one order: size of its header, Host, route, method, number of requests, other sites,
// token, parameters, type and size of its body. What is refused is a problem (problem.go) with a code, by which it is counted, and a
// hint that mends it. Handlers read from the hub, from the store of recent values, and from the bus by taps that slow nobody down.
package api
