import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

export interface PortBlock {
  /** Free for TCP and UDP on 127.0.0.1 when they were reserved. */
  readonly ports: readonly number[]
  release(): void
}

const size = 8

// Below what Linux (32768) and the BSDs (49152) hand out by themselves, so that nobody's outgoing connection and
// nobody's `listen(0)` takes a port between our look at it and its use.
const first = 20_000
const blocks = 1500

/**
 * Seven ports in a row, held against other test processes by listening on the eighth for as long as they are in use:
 * the system allows that once, and ends it with the process. To look for a free port and then to hand on its number is
 * a race; with the guard, it is one only against strangers.
 */
export async function reservePorts(): Promise<PortBlock> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const base = first + size * Math.floor(Math.random() * blocks)
    const release = await listenOn(base)
    if (!release) continue
    const ports = Array.from({ length: size - 1 }, (_, index) => base + 1 + index)
    const free = await Promise.all(ports.map(isFree))
    if (!free.includes(false)) return { ports, release }
    release()
  }
  throw new Error('no block of free ports found')
}

async function isFree(port: number): Promise<boolean> {
  const release = await listenOn(port)
  release?.()
  if (!release) return false
  const socket = createSocket('udp4').bind(port, '127.0.0.1')
  const free = await once(socket, 'listening').then(
    () => true,
    () => false,
  )
  socket.close()
  return free
}

async function listenOn(port: number): Promise<(() => void) | undefined> {
  const server = createServer((socket) => socket.destroy()).unref()
  server.listen(port, '127.0.0.1')
  return once(server, 'listening').then(
    () => () => void server.close(),
    () => undefined,
  )
}
