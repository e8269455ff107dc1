import { once } from 'node:events'
import { type AddressInfo, createServer, Socket } from 'node:net'

interface DelayProxyOptions {
  /** The port on 127.0.0.1 to pass everything on to. */
  target: number
  roundTripMs: number
  /** Where to listen on 127.0.0.1; a free port when absent. */
  port?: number
}

export interface DelayProxy {
  readonly port: number
  /** How many connections were accepted since the start or the last `reset`. */
  readonly connections: number
  /** How many of all connections are open now. */
  readonly open: number
  /** How many round trips one after the other its clients needed since the start or the last `reset`; see below. */
  depth(): number
  reset(): void
  close(): Promise<void>
}

/**
 * A TCP proxy that makes 127.0.0.1 as far away as a real server, and counts how often its clients had to wait for that
 * distance. Every byte takes half a round trip each way; connecting takes a whole one. Since the kernel tells a client
 * at once that it is connected, what that client then sends is held until its connection would have been there.
 *
 * The depth is a logical clock (Lamport's), with all clients together as one party:
 *
 *     what a client sends     bears the clock's time: the greatest depth of all that has come back to any client,
 *     what comes back         has a depth of one more than the last that had reached the server on that connection,
 *     a connect               is sent, and comes back, like anything else; nothing of its connection is sent earlier,
 *     the depth               is the greatest that has come back.
 *
 * Requests in flight at the same time thus share a round trip, on however many connections, and a chain of n requests
 * of which each needs the answer to the one before has depth n. That is the lower bound. The upper one: each step has
 * taken its full round trip, so depth × round trip is never more than the time that has gone by. Whatever lies between
 * comes from a client (or a machine) that paused for a round trip or more before it sent what it could have sent
 * earlier: nobody outside can tell that from waiting. So choose a round trip that is long beside the client's own work.
 *
 * What a server says after a TLS client has closed (its own farewell) is not counted, for nobody waits for it. Of a
 * client without TLS we cannot know: it may have closed its half only, and be waiting.
 */
export async function startDelayProxy({ target, roundTripMs, port = 0 }: DelayProxyOptions): Promise<DelayProxy> {
  const clock = new Clock()
  const links = new Set<Link>()
  let connections = 0
  const server = createServer({ allowHalfOpen: true }, (client) => {
    connections++
    const link = new Link(client, target, roundTripMs, clock)
    links.add(link)
    void link.closed().then(() => links.delete(link))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as AddressInfo
  return {
    port: address.port,
    get connections() {
      return connections
    },
    get open() {
      return [...links].filter((link) => link.isOpen).length
    },
    depth: () => clock.now.depth,
    reset() {
      connections = 0
      clock.reset()
    },
    async close() {
      for (const link of links) link.destroy()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  }
}

/** A depth, and the reckoning it belongs to: what is left over from before a reset counts for nothing. */
interface Stamp {
  readonly reckoning: number
  readonly depth: number
}

class Clock {
  #now: Stamp = { reckoning: 0, depth: 0 }

  get now(): Stamp {
    return this.#now
  }

  /** The later of the clock's time and this one. */
  notBefore(stamp: Stamp): Stamp {
    return stamp.reckoning === this.#now.reckoning && stamp.depth > this.#now.depth ? stamp : this.#now
  }

  advance(stamp: Stamp): void {
    this.#now = this.notBefore(stamp)
  }

  reset(): void {
    this.#now = { reckoning: this.#now.reckoning + 1, depth: 0 }
  }
}

function oneMore({ reckoning, depth }: Stamp): Stamp {
  return { reckoning, depth: depth + 1 }
}

/** Lets things happen at their time and in their order. */
class Lane {
  readonly #waiting: Array<{ due: number; happen: () => void }> = []
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  add(due: number, happen: () => void): void {
    if (this.#stopped) return
    this.#waiting.push({ due, happen })
    if (!this.#timer) this.#run()
  }

  stop(): void {
    this.#stopped = true
    this.#waiting.length = 0
    clearTimeout(this.#timer)
  }

  #run(): void {
    this.#timer = undefined
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const wait = next.due - performance.now()
      if (wait > 0) {
        // a timer may be early by a fraction of a millisecond, and never may we be
        this.#timer = setTimeout(() => this.#run(), Math.ceil(wait))
        return
      }
      this.#waiting.shift()
      next.happen()
    }
  }
}

const tlsHandshakeRecord = 0x16

/** One client, and our connection to the server for it. */
class Link {
  readonly #clock: Clock
  readonly #half: number
  readonly #client: Socket
  readonly #upstream = new Socket({ allowHalfOpen: true })
  readonly #toServer = new Lane()
  readonly #toClient = new Lane()
  /** When the client would know that it is connected, by the real clock and by the logical one. */
  readonly #connectedAt: number
  readonly #connected: Stamp
  /** The last that has reached the server. */
  #atServer: Stamp
  #tls: boolean | undefined
  #clientHasClosed = false

  constructor(client: Socket, target: number, roundTripMs: number, clock: Clock) {
    const accepted = performance.now()
    this.#clock = clock
    this.#half = roundTripMs / 2
    this.#client = client.setNoDelay()
    this.#connectedAt = accepted + roundTripMs
    this.#atServer = clock.now
    this.#connected = oneMore(clock.now)
    const upstream = this.#upstream.setNoDelay()

    this.#toServer.add(accepted + this.#half, () => upstream.connect(target, '127.0.0.1'))
    this.#toClient.add(this.#connectedAt, () => clock.advance(this.#connected))

    client.on('data', (chunk) => {
      this.#tls ??= chunk[0] === tlsHandshakeRecord
      this.#send(() => upstream.write(chunk))
    })
    client.once('end', () => {
      this.#clientHasClosed = true
      this.#send(() => upstream.end())
    })
    client.once('error', () => this.#send(() => upstream.resetAndDestroy()))
    client.once('close', () => this.#toClient.stop())

    upstream.on('data', (chunk) => {
      const answer = oneMore(this.#atServer)
      this.#return(() => {
        if (!(this.#tls && this.#clientHasClosed)) clock.advance(answer)
        client.write(chunk)
      })
    })
    upstream.once('end', () => this.#return(() => client.end()))
    upstream.once('error', () => this.#return(() => client.resetAndDestroy()))
    upstream.once('close', () => this.#toServer.stop())
  }

  get isOpen(): boolean {
    return !this.#client.closed
  }

  async closed(): Promise<void> {
    const sockets = [this.#client, this.#upstream].filter((socket) => !socket.closed)
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
  }

  destroy(): void {
    this.#client.destroy()
    this.#upstream.destroy()
  }

  #send(happen: () => void): void {
    const sent = this.#clock.notBefore(this.#connected)
    this.#toServer.add(Math.max(performance.now(), this.#connectedAt) + this.#half, () => {
      this.#atServer = sent
      happen()
    })
  }

  #return(happen: () => void): void {
    this.#toClient.add(performance.now() + this.#half, happen)
  }
}
