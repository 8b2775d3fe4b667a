// Package pulse keeps what a sender of heartbeats learns from the answers.
package pulse
