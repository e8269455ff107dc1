import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { chmodSync, existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { Agent, get } from 'node:https'
import { connect, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import acme from 'acme-client'
import t from 'tap'
import { generateKey, keyPem } from './mint.js'
import { reservePorts } from './pebble/ports.js'
import { hasPebble, type Pebble, startPebble } from './pebble.js'

if (process.argv[2] === 'victim') await becomeVictim()
if (!hasPebble()) t.bailout('pebble is not installed')

/** The process that the test below kills: it has a Pebble and never closes it. */
async function becomeVictim(): Promise<never> {
  const pebble = await startPebble()
  process.stdout.write(`${JSON.stringify({ folder: dirname(pebble.caBundle), port: pebble.port })}\n`)
  if (process.argv[3] === 'leave') process.exit(0)
  if (process.argv[3] === 'forget') throw new Error('a test that throws')
  // an await that nothing keeps running ends the process
  if (process.argv[3] === 'idle') await new Promise(() => {})
  // should its killer be killed first
  await once(process.stdin.resume(), 'end')
  process.exit(1)
}

/** Another account each time, unless one is given. */
function clientOf(pebble: Pebble, more: { accountKey?: string; eab?: { kid: string; hmacKey: string } } = {}) {
  acme.axios.defaults.httpsAgent = new Agent({ ca: pebble.caPem })
  const { accountKey = keyPem(generateKey('ec256'), 'pkcs8'), eab } = more
  const backoff = { backoffAttempts: 50, backoffMin: 20, backoffMax: 200 }
  const binding = eab ? { externalAccountBinding: eab } : {}
  return new acme.Client({ directoryUrl: pebble.directoryUrl, accountKey, ...backoff, ...binding })
}

async function issue(pebble: Pebble, client: acme.Client, names: string[]): Promise<string> {
  const [, csr] = await acme.crypto.createCsr({ altNames: names }, keyPem(generateKey('ec256'), 'pkcs8'))
  return client.auto({
    csr,
    termsOfServiceAgreed: true,
    skipChallengeVerification: true,
    challengePriority: ['dns-01'],
    challengeCreateFn: (authz, _, value) => pebble.dns.setTxt(`_acme-challenge.${authz.identifier.value}`, value),
    challengeRemoveFn: (authz) => pebble.dns.clearTxt(`_acme-challenge.${authz.identifier.value}`),
  })
}

function certificatesOf(pem: string): X509Certificate[] {
  return acme.crypto.splitPemChain(pem).map((one) => new X509Certificate(one))
}

function isReachable(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  return once(socket, 'connect')
    .then(
      () => true,
      () => false,
    )
    .finally(() => socket.destroy())
}

/** Those that have that text in their command line or work in such a folder, where the system tells (Linux does). */
function processesWith(word: string): string[] {
  if (!existsSync('/proc/self/cmdline')) return []
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
  return pids.filter((pid) => {
    try {
      return (readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readlinkSync(`/proc/${pid}/cwd`)).includes(word)
    } catch {
      return false
    }
  })
}

async function until(condition: () => Promise<boolean>): Promise<boolean> {
  const deadline = Date.now() + 20_000
  while (Date.now() < deadline) {
    if (await condition()) return true
    await sleep(20)
  }
  return false
}

t.test('a directory, a DNS, a certificate, and a restart', async (t) => {
  const pebble = await startPebble()
  t.teardown(() => pebble.close())
  t.same(pebble.requests(), {}, 'getting ready is not counted')
  t.equal(pebble.issued(), 0)
  t.notMatch(pebble.log(), /handshake error/)

  const request = get(pebble.directoryUrl, { ca: pebble.caPem, agent: false })
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  t.match(JSON.parse(await text(answer)), { newOrder: `https://localhost:${pebble.port}/order-plz` })
  t.same(pebble.requests(), { 'GET /dir': 1 })
  t.equal(readFileSync(pebble.caBundle, 'utf8'), pebble.caPem)

  const resolver = new Resolver({ timeout: 2000, tries: 2 })
  resolver.setServers([`127.0.0.1:${pebble.dnsPort}`])
  await pebble.dns.setTxt('Text.Example.com', 'one')
  await pebble.dns.setTxt('text.example.com.', 'two')
  t.same((await resolver.resolveTxt('text.example.com')).flat().sort(), ['one', 'two'])
  await pebble.dns.setCname('alias.example.com', 'text.example.com')
  t.same((await resolver.resolveTxt('alias.example.com')).flat().sort(), ['one', 'two'])
  await pebble.dns.clearTxt('text.example.com')
  await t.rejects(resolver.resolveTxt('text.example.com'), { code: 'ENODATA' })
  t.same(await resolver.resolve4('text.example.com'), ['127.0.0.1'])
  await t.rejects(resolver.resolve6('text.example.com'), { code: 'ENODATA' })
  await pebble.dns.addA('text.example.com', ['192.0.2.1', '192.0.2.2'])
  t.same((await resolver.resolve4('text.example.com')).sort(), ['192.0.2.1', '192.0.2.2'])
  await pebble.dns.clearA('text.example.com')
  t.same(await resolver.resolve4('text.example.com'), ['127.0.0.1'])
  await pebble.dns.setServfail('text.example.com')
  await t.rejects(resolver.resolveTxt('text.example.com'), { code: 'ESERVFAIL' })
  await pebble.dns.clearServfail('text.example.com')
  t.same(await resolver.resolve4('text.example.com'), ['127.0.0.1'])
  const asked = await pebble.dns.history('text.example.com.')
  t.match(asked, [{ name: 'text.example.com', type: 'TXT' }])
  t.match(new Set(asked.map(({ type }) => type)), new Set(['TXT', 'A', 'AAAA']))
  await t.rejects(pebble.dns.setTxt('x.test', ''), /HTTP 400/)

  const beforehand = pebble.mark()
  const accountKey = keyPem(generateKey('ec256'), 'pkcs8')
  const chain = await issue(pebble, clientOf(pebble, { accountKey }), ['example.com', '*.example.com'])
  const [leaf, intermediate] = certificatesOf(chain)
  t.equal(leaf?.subjectAltName?.split(', ').sort().join(), 'DNS:*.example.com,DNS:example.com')
  t.same(intermediate, new X509Certificate(await pebble.intermediatePem()))
  const root = new X509Certificate(await pebble.rootPem())
  t.ok(intermediate && leaf?.verify(intermediate.publicKey) && intermediate.verify(root.publicKey))
  t.equal(pebble.issued(), 1)
  t.equal(pebble.issued(beforehand), 1)
  t.match(pebble.requests(beforehand), { 'POST /sign-me-up': 1, 'POST /order-plz': 1 })
  t.equal(pebble.issued(pebble.mark()), 0)
  t.same(pebble.requests(pebble.mark()), {})
  await t.rejects(pebble.rootPem(1), /HTTP 404/)

  t.ok(await clientOf(pebble, { accountKey }).createAccount({ onlyReturnExisting: true }), 'the account is known')
  await pebble.kill()
  t.notOk(await isReachable(pebble.port), 'killed')
  await pebble.restart()
  await t.rejects(clientOf(pebble, { accountKey }).createAccount({ onlyReturnExisting: true }), 'and now unknown')
  t.notSame(new X509Certificate(await pebble.rootPem()).raw, root.raw)
  await issue(pebble, clientOf(pebble, { accountKey }), ['example.com'])
  t.equal(pebble.issued(), 2)
  await pebble.restart()
  t.ok(await isReachable(pebble.port), 'no kill is needed before')
})

t.test('several at a time, each with its own ways', async (t) => {
  const hmacKey = Buffer.alloc(32, 7).toString('base64url')
  const [plain, other, bound] = await Promise.all([
    startPebble({ vaAlwaysValid: true, nonceReject: 30, authzReuse: 100, env: { PEBBLE_WFE_ORDERS_PER_PAGE: '7' } }),
    startPebble({ alternateRoots: 2, chainLength: 3, vaSleep: 1, defaultIPv4: '', defaultIPv6: '::1' }),
    startPebble({ externalAccountBinding: { 'kid-1': hmacKey } }),
  ])
  for (const pebble of [plain, other, bound]) t.teardown(() => pebble.close())
  t.match(plain.log(), /reject 30% of good nonces/)
  t.match(plain.log(), /authz reuse for each identifier 100% of the time/)
  t.match(plain.log(), /show 7 orders/)
  t.match(bound.log(), /reject 0% of good nonces/)
  t.match(bound.log(), /authz reuse for each identifier 0% of the time/)
  t.match(bound.log(), /Disabling random VA sleeps/)

  const terms = { termsOfServiceAgreed: true }
  await t.rejects(clientOf(bound).createAccount(terms), /externalAccountBinding/)
  await t.rejects(clientOf(bound, { eab: { kid: 'kid-2', hmacKey } }).createAccount(terms))
  await t.resolves(clientOf(bound, { eab: { kid: 'kid-1', hmacKey } }).createAccount(terms))

  const client = clientOf(plain)
  const [, csr] = await acme.crypto.createCsr({ altNames: ['a.test'] }, keyPem(generateKey('ec256'), 'pkcs8'))
  const nothing = async (): Promise<void> => {}
  const steps = { challengeCreateFn: nothing, challengeRemoveFn: nothing, skipChallengeVerification: true }
  await client.auto({ csr, ...terms, ...steps })
  t.equal(plain.issued(), 1, 'without an answer to the challenge')

  t.equal(certificatesOf(await issue(other, clientOf(other), ['b.test'])).length, 4, 'leaf and three intermediates')
  const roots = await Promise.all([0, 1, 2].map((index) => other.rootPem(index)))
  t.equal(new Set(roots).size, 3)
  t.equal(other.issued(), 1)
  t.equal(bound.issued(), 0)
  const resolver = new Resolver({ timeout: 2000, tries: 2 })
  resolver.setServers([`127.0.0.1:${other.dnsPort}`])
  await t.rejects(resolver.resolve4('b.test'), { code: 'ENODATA' })
  t.same(await resolver.resolve6('b.test'), ['::1'])
})

t.test('http-01 is asked for at httpPort', async (t) => {
  const spare = createTcpServer().listen(0, '127.0.0.1')
  await once(spare, 'listening')
  const { port } = spare.address() as { port: number }
  spare.close()
  for (const options of [{}, { httpPort: port }]) {
    const pebble = await startPebble(options)
    t.teardown(() => pebble.close())
    if ('httpPort' in options) t.equal(pebble.httpPort, port)
    const answers = new Map<string, string>()
    const server = createServer((request, response) => response.end(answers.get(request.url ?? '')))
    server.listen(pebble.httpPort, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const [, csr] = await acme.crypto.createCsr({ altNames: ['c.test'] }, keyPem(generateKey('ec256'), 'pkcs8'))
    await clientOf(pebble).auto({
      csr,
      termsOfServiceAgreed: true,
      skipChallengeVerification: true,
      challengePriority: ['http-01'],
      challengeCreateFn: async (_, { token }, value) => void answers.set(`/.well-known/acme-challenge/${token}`, value),
      challengeRemoveFn: async () => {},
    })
    t.equal(pebble.issued(), 1)
  }
})

t.test('a port that was taken in the meantime costs another try', async (t) => {
  const { PATH = '' } = process.env
  t.teardown(() => {
    process.env['PATH'] = PATH
  })
  for (const command of ['pebble', 'pebble-challtestsrv']) {
    const other = command === 'pebble' ? 'pebble-challtestsrv' : 'pebble'
    const folder = t.testdir({
      [other]: `#!/bin/sh\nPATH='${PATH}' exec ${other} "$@"\n`,
      [command]: [
        '#!/bin/sh',
        `if mkdir '${t.testdirName}/tried'; then`,
        '  echo "listen tcp: bind: address already in use"',
        // challtestsrv does not end over it
        command === 'pebble' ? '  exit 1' : '  exec sleep 600',
        'fi',
        `PATH='${PATH}' exec ${command} "$@"`,
      ].join('\n'),
    })
    for (const name of [command, other]) chmodSync(join(folder, name), 0o755)
    process.env['PATH'] = `${folder}${delimiter}${PATH}`
    const pebble = await startPebble()
    t.ok(existsSync(join(folder, 'tried')), command)
    t.ok(await pebble.rootPem())
    await pebble.close()
    writeFileSync(join(folder, 'pebble'), '#!/bin/sh\necho I will not\nexit 3\n')
    await t.rejects(startPebble(), /pebble ended at once:\nI will not\n/)
  }
  process.env['PATH'] = '/nowhere'
  t.notOk(hasPebble())
  await t.rejects(startPebble(), /not installed/)
})

t.test('blocks of ports have none in common', async (t) => {
  const blocks = await Promise.all(Array.from({ length: 40 }, reservePorts))
  const ports = blocks.flatMap((block) => block.ports)
  t.equal(ports.length, 40 * 7)
  t.equal(new Set(ports).size, ports.length)
  for (const { release } of blocks) release()
})

t.test('close leaves nothing', async (t) => {
  const pebble = await startPebble()
  const folder = dirname(pebble.caBundle)
  t.ok(folder.startsWith(tmpdir()) && existsSync(folder))
  if (process.platform === 'linux') t.equal(processesWith(folder).length, 3, 'two servers, one warden')
  const said = pebble.log()
  await pebble.close()
  t.notOk(existsSync(folder))
  t.same(processesWith(folder), [])
  for (const port of [pebble.port, pebble.dnsPort]) t.notOk(await isReachable(port))
  t.ok(pebble.log().startsWith(said.slice(0, 200)), 'the log is still there to be read')
  await pebble.close()
})

t.test('the end of the test process is the end of its Pebble', async (t) => {
  const ends = [['stay', 'SIGKILL'], ['stay', 'SIGTERM'], ['leave'], ['forget'], ['idle']] as const
  const check = async ([how, signal]: (typeof ends)[number]): Promise<void> => {
    const victim = spawn(process.execPath, [fileURLToPath(import.meta.url), 'victim', how], {
      env: { PATH: process.env['PATH'] ?? '', TMPDIR: tmpdir() },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    const ended = once(victim, 'exit')
    const [line] = (await once(victim.stdout, 'data')) as [Buffer]
    const { folder, port } = JSON.parse(line.toString()) as { folder: string; port: number }
    if (signal) victim.kill(signal)
    await ended
    // a process of several threads may be no more to be seen, and have its ports a moment longer
    const gone = async () => !existsSync(folder) && !processesWith(folder).length && !(await isReachable(port))
    t.ok(await until(gone), `${how} ${signal ?? ''}`.trim())
  }
  await Promise.all(ends.map(check))
})
