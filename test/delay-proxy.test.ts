import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { Agent, createServer as createHttpsServer, request } from 'node:https'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { type DelayProxy, startDelayProxy } from './delay-proxy.js'
import { mintLeaf } from './mint.js'

// long beside what this process does in between, even on a machine that has others to serve
const roundTripMs = 200

async function listening(t: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket.on('error', () => {})))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

async function proxyTo(t: Test, server: Server, delay = roundTripMs): Promise<DelayProxy> {
  const proxy = await startDelayProxy({ target: await listening(t, server), roundTripMs: delay })
  t.teardown(() => proxy.close())
  return proxy
}

/** Sends back whatever comes, and closes when the client has. */
const echo = (): Server => createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))

function connectTo(t: Test, proxy: DelayProxy): Socket {
  const socket = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  return socket
}

async function pingPong(socket: Socket, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    socket.write('ping')
    const [answer] = (await once(socket, 'data')) as [Buffer]
    if (answer.toString() !== 'ping') throw new Error(`got ${answer}`)
  }
}

// not toArray(), which destroys the other half as well
async function all(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  await once(socket, 'end')
  return Buffer.concat(chunks)
}

const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

t.test('nothing is faster than the distance allows', async (t) => {
  const proxy = await proxyTo(t, echo(), 50)
  const begin = performance.now()
  const socket = connectTo(t, proxy)
  await pingPong(socket, 1)
  t.ok(performance.now() - begin >= 100, 'a connect and a round')
  await pingPong(socket, 4)
  t.ok(performance.now() - begin >= 300, 'and four rounds')
  t.ok(proxy.depth() >= 6)
  t.ok(proxy.depth() * 50 <= performance.now() - begin, 'the depth is never more than the time')
})

t.test('a server that speaks first is a round trip away', async (t) => {
  const proxy = await proxyTo(
    t,
    createServer((socket) => socket.end('hello')),
    50,
  )
  const begin = performance.now()
  t.equal((await all(connectTo(t, proxy).end())).toString(), 'hello')
  t.ok(performance.now() - begin >= 50)
  // A client that was held up before it closed its half may have waited a second time.
  t.ok(proxy.depth() >= 1 && proxy.depth() * 50 <= performance.now() - begin)
})

t.test('a megabyte each way, at the same time, byte for byte', async (t) => {
  const [up, down] = [randomBytes(1 << 20), randomBytes(1 << 20)]
  const inPieces = (socket: Socket, bytes: Buffer, size: number): void => {
    for (let at = 0; at < bytes.length; at += size) socket.write(bytes.subarray(at, at + size))
    socket.end()
  }
  for (const delay of [0, 30]) {
    const arrived: Promise<Buffer>[] = []
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      arrived.push(all(socket))
      inPieces(socket, down, 10_007)
    })
    const socket = connectTo(t, await proxyTo(t, server, delay))
    inPieces(socket, up, 7919)
    t.equal(hash(await all(socket)), hash(down), `${delay} ms: to the client`)
    t.same((await Promise.all(arrived)).map(hash), [hash(up)], `${delay} ms: to the server`)
  }
})

t.test('closing', async (t) => {
  t.test('one half, and the other goes on', async (t) => {
    const server = createServer({ allowHalfOpen: true }, async (socket) => {
      socket.write('early ')
      const said = (await all(socket)).toString()
      socket.end(`heard: ${said}`)
    })
    const proxy = await proxyTo(t, server, 20)
    const socket = connectTo(t, proxy)
    socket.end('all I have')
    t.equal((await all(socket)).toString(), 'early heard: all I have')
    t.equal(proxy.depth(), 2, 'the answer to a client without TLS that has closed its half counts')
    await until(() => proxy.open === 0)
    t.equal(proxy.connections, 1)
  })

  t.test('a reset goes through, either way', async (t) => {
    const atServer: Socket[] = []
    const proxy = await proxyTo(
      t,
      createServer((socket) => atServer.push(socket)),
      10,
    )
    const socket = connectTo(t, proxy)
    await once(socket.resume(), 'connect')
    await until(() => atServer.length === 1)
    t.equal(proxy.open, 1)
    const hurt = once(socket, 'error') as Promise<Error[]>
    atServer[0]?.resetAndDestroy()
    t.match(await hurt, [{ code: 'ECONNRESET' }])

    const other = connectTo(t, proxy)
    await until(() => atServer.length === 2)
    const errors: Error[] = []
    atServer[1]?.resume().on('error', (error) => errors.push(error))
    other.resetAndDestroy()
    await until(() => errors.length === 1)
    t.match(errors, [{ code: 'ECONNRESET' }])
    await until(() => proxy.open === 0)
    t.equal(proxy.connections, 2)
  })

  t.test('nobody there', async (t) => {
    const server = echo()
    const target = await listening(t, server)
    server.close()
    await once(server, 'close')
    const proxy = await startDelayProxy({ target, roundTripMs: 10 })
    t.teardown(() => proxy.close())
    const socket = connectTo(t, proxy)
    socket.write('hello')
    await t.rejects(once(socket, 'data'), { code: 'ECONNRESET' })
  })

  t.test('all of it', async (t) => {
    const proxy = await proxyTo(t, echo(), 20)
    const socket = connectTo(t, proxy)
    await pingPong(socket, 1)
    socket.write('never answered')
    // with a reset or without, as the kernel likes
    socket.on('error', () => {}).once('end', () => socket.end())
    await proxy.close()
    await until(() => socket.closed)
    t.equal(proxy.open, 0)
    await proxy.close()
    const fresh = connectTo(t, proxy)
    await t.rejects(once(fresh, 'connect'), { code: 'ECONNREFUSED' })
    const again = await startDelayProxy({ target: 1, roundTripMs: 1, port: proxy.port })
    t.equal(again.port, proxy.port, 'a port of one’s own choice')
    await t.rejects(startDelayProxy({ target: 1, roundTripMs: 1, port: proxy.port }), { code: 'EADDRINUSE' })
    await again.close()
  })
})

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5)
}

t.test('depth over TCP', async (t) => {
  let heard = 0
  const server = echo().on('connection', (socket) => socket.on('data', () => heard++))
  const proxy = await proxyTo(t, server)
  t.equal(proxy.depth(), 0)
  const socket = connectTo(t, proxy)
  await pingPong(socket, 3)
  t.equal(proxy.depth(), 4, 'three rounds and the connect')

  proxy.reset()
  t.equal(proxy.depth(), 0)
  t.equal(proxy.connections, 0)
  t.equal(proxy.open, 1)
  await pingPong(socket, 1)
  t.equal(proxy.depth(), 1, 'the connect is of another time')

  proxy.reset()
  await Promise.all([connectTo(t, proxy), connectTo(t, proxy)].map((one) => pingPong(one, 3)))
  t.equal(proxy.depth(), 4, 'two in parallel')
  t.equal(proxy.connections, 2)

  proxy.reset()
  await pingPong(connectTo(t, proxy), 1)
  await pingPong(connectTo(t, proxy), 1)
  t.equal(proxy.depth(), 4, 'two one after the other')

  socket.write('ping')
  await until(() => heard === 3 + 1 + 6 + 2 + 1)
  proxy.reset()
  await once(socket, 'data')
  t.equal(proxy.depth(), 0, 'what was sent before the reset')

  let got = ''
  socket.on('data', (chunk) => {
    got += chunk
  })
  socket.write('a')
  await sleep(roundTripMs / 4)
  socket.write('b')
  await until(() => got === 'ab')
  t.equal(proxy.depth(), 1, 'sent before anything came back')
})

t.test('depth over TLS', async (t) => {
  const { pem, key } = await mintLeaf({ names: ['localhost'] })
  const secret = key.export({ type: 'pkcs8', format: 'pem' })
  const server = createHttpsServer({ cert: pem, key: secret, minVersion: 'TLSv1.3' }, (_, response) =>
    response.end('x'),
  )
  const proxy = await proxyTo(t, server)
  const agent = new Agent({ ca: pem, keepAlive: true, maxSockets: 3, servername: 'localhost' })
  t.teardown(() => agent.destroy())
  const ask = async (): Promise<void> => {
    const asked = request({ host: '127.0.0.1', port: proxy.port, agent }).end()
    const [answer] = await once(asked, 'response')
    const ended = once(answer, 'close')
    t.equal((asked.socket as TLSSocket).getProtocol(), 'TLSv1.3')
    answer.resume()
    await ended
    // the agent takes the connection back a moment after the answer has ended
    await new Promise(setImmediate)
  }
  await ask()
  t.equal(proxy.depth(), 3, 'connect, handshake, request')
  await ask()
  t.equal(proxy.depth(), 4, 'one more on the same connection')
  t.equal(proxy.connections, 1)

  proxy.reset()
  await Promise.all([ask(), ask(), ask()])
  t.equal(proxy.depth(), 3, 'one is open, two are not: the longest counts')
  t.equal(proxy.connections, 2)
  t.equal(proxy.open, 3)

  proxy.reset()
  await Promise.all([ask(), ask(), ask()])
  t.equal(proxy.depth(), 1, 'three at once on open connections')
  await Promise.all([ask(), ask(), ask()])
  t.equal(proxy.depth(), 2, 'and again')
  t.equal(proxy.connections, 0)

  agent.destroy()
  await until(() => proxy.open === 0)
  t.equal(proxy.depth(), 2, 'nobody waits for the farewell')
})

t.test('depth over HTTP without TLS', async (t) => {
  const proxy = await proxyTo(
    t,
    createHttpServer((_, response) => response.end('x')),
  )
  const { status } = await fetch(`http://127.0.0.1:${proxy.port}/`, { headers: { connection: 'close' } })
  t.equal(status, 200)
  t.equal(proxy.depth(), 2)
  await until(() => proxy.open === 0)
  t.equal(proxy.depth(), 2, 'no bytes in the farewell')
})
