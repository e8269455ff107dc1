import { setImmediate } from 'node:timers/promises'

const atOnce = 64
let count = 0

/**
 * Lets signals, timers and the network have their turn now and then, between pieces of work that wait for nothing:
 * thousands of them in a row would keep Ctrl-C waiting until they are all done.
 */
export const breath = async (): Promise<void> => {
  count += 1
  if (count % atOnce === 0) await setImmediate()
}
