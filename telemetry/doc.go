// Package telemetry defines what travels on the bus: batches of points, heartbeats, inventory, and how each is encoded.
//
// A [Batch] is the unit that is sent, acknowledged and given again. It holds groups of points as columns and decodes lazily:
// what a plugin does not touch is handed on as the bytes that came. Nothing here knows of NATS.
package telemetry
