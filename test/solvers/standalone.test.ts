// The servers of the standalone solver, looked at as a CA might: http-01 and tls-alpn-01.
import { once } from 'node:events'
import { request } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect } from 'node:tls'
import t, { type Test } from 'tap'
import { reverseName } from '../../src/solvers/reverse-name.js'
import type { Challenge, Solver } from '../../src/solvers/solver.js'
import { standalone } from '../../src/solvers/standalone.js'
import { tlsAlpn } from '../../src/solvers/tls-alpn.js'

const { signal } = new AbortController()

const challengeFor = (type: Challenge['type'], domain: string, token = `token-of-${domain}`): Challenge => ({
  type,
  domain,
  token,
  place: type === 'http-01' ? `/.well-known/acme-challenge/${token}` : domain,
  value: `${token}.thumbprint`,
})

/** Nobody else's, most probably: asked for and let go. */
const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '::')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** On a free port; another one where somebody was quicker. */
const opened = async (t: Test, make: (port: number) => Solver): Promise<{ solver: Solver; port: number }> => {
  for (let tries = 1; ; tries++) {
    const port = await freePort()
    const solver = make(port)
    try {
      await solver.open?.(signal)
    } catch (error) {
      if (tries < 5) continue
      throw error
    }
    t.teardown(() => solver.close?.())
    return { solver, port }
  }
}

interface Asked {
  readonly host?: string
  readonly path: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

const ask = async (port: number, { host = '127.0.0.1', ...rest }: Asked) => {
  const asking = request({ host, port, agent: false, ...rest })
  asking.end()
  const [answer] = await once(asking, 'response')
  return { status: answer.statusCode, length: answer.headers['content-length'], body: await text(answer) }
}

t.test('http-01', async (t) => {
  const { solver, port } = await opened(t, (port) => standalone({ port }))
  const one = challengeFor('http-01', 'a.example.com')
  const other = challengeFor('http-01', 'b.example.com')
  for (const challenge of [one, other]) await solver.present(challenge, [], signal)
  const right = { status: 200, length: String(one.value.length), body: one.value }
  t.same(await ask(port, { path: one.place }), right, 'IPv4')
  t.same(await ask(port, { path: one.place, host: '::1' }), right, 'IPv6')
  t.same(await ask(port, { path: one.place, headers: { host: 'somebody.else.example:8080' } }), right, 'any Host')
  t.same(await ask(port, { path: `http://a.example.com${one.place}` }), right, 'the whole URL')
  t.same(await ask(port, { path: `HTTP://a.example.com:80${one.place}?x=y` }), right, 'with a port and a query')
  t.same(await ask(port, { path: one.place, method: 'HEAD' }), { ...right, body: '' }, 'HEAD')
  t.equal((await ask(port, { path: `/${one.place}` })).status, 404)
  t.equal((await ask(port, { path: `${one.place}/` })).status, 404)
  await solver.cleanUp(one, [], signal)
  t.equal((await ask(port, { path: one.place })).status, 404, 'taken away')
  t.equal((await ask(port, { path: other.place })).body, other.value, 'the other order goes on')
  await solver.cleanUp(other, [], signal)
  t.equal((await ask(port, { path: other.place })).status, 404)
})

interface Shown {
  readonly names: string | undefined
  readonly protocol: string | false | null
}

/** What a client is shown; an error's code where the handshake is refused. */
const shake = (port: number, servername: string, protocols = ['acme-tls/1'], host = '127.0.0.1') =>
  new Promise<Shown | string>((resolve) => {
    const socket = connect({
      ...{ host, port, servername, rejectUnauthorized: false },
      ...(protocols.length > 0 && { ALPNProtocols: protocols }),
    })
    socket.on('secureConnect', () => {
      const names = socket.getPeerX509Certificate()?.subjectAltName
      const protocol = socket.alpnProtocol
      // Closed by the other side, in any case.
      socket.on('close', () => resolve({ names, protocol }))
      socket.resume()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })

t.test('tls-alpn-01', async (t) => {
  const { solver, port } = await opened(t, (port) => tlsAlpn({ port, now: () => new Date() }))
  const names = ['a.example.com', 'b.example.com', '192.0.2.7', '2001:db8::7']
  const order = names.map((name) => challengeFor('tls-alpn-01', name))
  await Promise.all(order.map((one) => solver.present(one, order, signal)))
  const expected = ['DNS:a.example.com', 'DNS:b.example.com', 'IP Address:192.0.2.7', 'IP Address:2001:DB8:0:0:0:0:0:7']
  for (const [i, name] of names.entries()) {
    const sni = i < 2 ? name : reverseName(name)
    t.same(await shake(port, sni), { names: expected[i], protocol: 'acme-tls/1' }, name)
  }
  t.match(await shake(port, 'A.Example.com', ['acme-tls/1'], '::1'), { names: 'DNS:a.example.com' }, 'IPv6')
  t.match(await shake(port, 'a.example.com', ['h2', 'acme-tls/1']), { protocol: 'acme-tls/1' })

  t.test('nobody else is served', async (t) => {
    t.match(await shake(port, 'a.example.com', ['h2', 'http/1.1']), /ALERT|APPLICATION_PROTOCOL/)
    t.match(await shake(port, 'c.example.com'), /^E/, 'a name of nobody’s')
    t.type(await shake(port, 'a.example.com', []), 'object', 'hung up on, and nothing else')
  })

  t.test('another order for the same names has its turn afterwards, whatever the order of the calls', async (t) => {
    const second = ['b.example.com', 'a.example.com'].map((name) => challengeFor('tls-alpn-01', name, `2-${name}`))
    let isPresented = false
    const presenting = Promise.all(second.map((one) => solver.present(one, second, signal))).then(() => {
      isPresented = true
    })
    await solver.cleanUp(order[0] as Challenge, order, signal)
    const third = [challengeFor('tls-alpn-01', 'c.example.com')]
    await solver.present(third[0] as Challenge, third, signal)
    t.match(await shake(port, 'c.example.com'), { names: 'DNS:c.example.com' }, 'others are not held up')
    t.notOk(isPresented, 'b is still held by the first')
    await solver.cleanUp(order[1] as Challenge, order, signal)
    await presenting
    t.match(await shake(port, 'b.example.com'), { names: 'DNS:b.example.com' })
    await solver.cleanUp(order[1] as Challenge, order, signal)
    t.match(await shake(port, 'b.example.com'), { names: 'DNS:b.example.com' }, 'cleaning up twice takes nothing away')
    for (const one of [...second, ...third]) await solver.cleanUp(one, [], signal)
    t.match(await shake(port, 'b.example.com'), /^E/)
  })

  t.test('two orders that begin at once do not wait for each other for ever', async (t) => {
    const orders = [
      ['x.example.com', 'y.example.com'],
      ['y.example.com', 'x.example.com'],
    ].map((names, i) => names.map((name) => challengeFor('tls-alpn-01', name, `${i}-${name}`)))
    const done = await Promise.all(
      orders.map(async (order) => {
        await Promise.all(order.map((one) => solver.present(one, order, signal)))
        const shown = await shake(port, 'x.example.com')
        for (const one of order) await solver.cleanUp(one, order, signal)
        return shown
      }),
    )
    t.match(done, [{ names: 'DNS:x.example.com' }, { names: 'DNS:x.example.com' }])
  })

  t.test('waiting for a turn ends with the run', async (t) => {
    const run = new AbortController()
    const again = [challengeFor('tls-alpn-01', '192.0.2.7', 'again')]
    const presenting = solver.present(again[0] as Challenge, again, run.signal)
    run.abort(new Error('interrupted'))
    await t.rejects(presenting, { message: 'interrupted' })
    await solver.cleanUp(again[0] as Challenge, again, signal)
    t.match(await shake(port, reverseName('192.0.2.7')), { names: 'IP Address:192.0.2.7' }, 'the first is still there')
  })
})

t.test('closing hangs up on everybody', async (t) => {
  for (const make of [
    (port: number) => standalone({ port }),
    (port: number) => tlsAlpn({ port, now: () => new Date() }),
  ]) {
    const { solver, port } = await opened(t, make)
    const { connect } = await import('node:net')
    const idle: Socket = connect({ host: '127.0.0.1', port })
    idle.on('error', () => undefined)
    await once(idle, 'connect')
    const closed = once(idle, 'close')
    idle.resume()
    await solver.close?.()
    await closed
    t.pass('a connection that says nothing keeps nobody waiting')
    const server = createServer().listen(port, '::')
    await once(server, 'listening')
    t.equal((server.address() as AddressInfo).port, port, 'the port is free again')
    server.close()
  }
})

t.test('a port that is taken', async (t) => {
  const server = createServer().listen(0, '::')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  await t.rejects(async () => await standalone({ port }).open?.(signal), {
    code: 'SOLVER_FAILED',
    message: `the challenge server cannot listen on port ${port}: EADDRINUSE`,
    hint: /another program holds it \(ss -ltnp.*--solver webroot/,
  })
  await t.rejects(async () => await tlsAlpn({ port, now: () => new Date() }).open?.(signal), {
    code: 'SOLVER_FAILED',
    message: `the challenge server cannot listen on port ${port}: EADDRINUSE`,
    hint: /another program holds it \(ss -ltnp.*--challenge http-01/,
  })
})

t.test('reverse names', async (t) => {
  t.equal(reverseName('192.0.2.1'), '1.2.0.192.in-addr.arpa')
  const zeros = (count: number) => '0.'.repeat(count)
  t.equal(reverseName('2001:db8::1'), `1.${zeros(23)}8.b.d.0.1.0.0.2.ip6.arpa`)
  t.equal(reverseName('::1'), `1.${zeros(31)}ip6.arpa`)
  t.equal(reverseName('::'), `${zeros(32)}ip6.arpa`)
  t.equal(reverseName('2001:db8::'), `${zeros(24)}8.b.d.0.1.0.0.2.ip6.arpa`)
  t.equal(
    reverseName('1:22:333:4444:5:66:777:8888'),
    '8.8.8.8.7.7.7.0.6.6.0.0.5.0.0.0.4.4.4.4.3.3.3.0.2.2.0.0.1.0.0.0.ip6.arpa',
  )
})
