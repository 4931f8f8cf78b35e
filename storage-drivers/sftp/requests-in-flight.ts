/** What is on its way at one time: the window that OpenSSH gives a channel, and 70 MB/s where an answer takes 30 ms. */
const IN_FLIGHT_BYTES = 2 * 1024 * 1024;

/** How many requests of so many bytes to keep on their way. */
export function requestsInFlight(bytes: number): number {
  return Math.max(1, Math.round(IN_FLIGHT_BYTES / bytes));
}
