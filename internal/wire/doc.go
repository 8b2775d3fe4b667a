// Package wire holds the JSON Schemas and the page of the heartbeat protocol true against package telemetry.
package wire
