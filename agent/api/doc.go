// Package api answers HTTP for a hub.
package api
