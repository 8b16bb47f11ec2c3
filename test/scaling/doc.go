// Package scaling is the capacity model of engine/SCALING.md: what a deployment of many nodes on Redis needs for a load, from
// what one operation costs as measured (constants.json), and a simulation of queues that the model is checked against.
package scaling
