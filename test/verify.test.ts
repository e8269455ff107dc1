// `acme-oss verify` as a user runs it, against servers that really shake hands. The roots that it trusts come from
// NODE_EXTRA_CA_CERTS: of the command alone, since a server of Node's that knows the root would send more than it is told.
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { daysFromNow } from './deploy-world.js'
import { type Minted, mintAuthority, mintLeaf } from './mint.js'
import { type NameServer, serveNames, type Zone } from './proof/name-server.js'
import { answering, closedPort, presenting } from './proof/tls-server.js'
import { type RunOptions, type RunResult, runCommand } from './run-command.js'

const host = 'static.example.com'
const root = await mintAuthority({ name: 'Corner Shop Root' })
const intermediate = await mintAuthority({ name: 'Corner Shop CA', issuer: root })
const issuerUrl = 'http://ca.example.com/intermediate.der'
const leaf = await mintLeaf({ issuer: intermediate, names: [host, '*.example.com'], issuerUrl })
const before = await mintLeaf({ issuer: intermediate, names: [host], issuerUrl })

const folder = t.testdir()
const trusting = (name: string, ...roots: readonly Minted[]): RunOptions => {
  const path = join(folder, name)
  writeFileSync(path, roots.map(({ pem }) => pem).join(''))
  return { environment: { NODE_EXTRA_CA_CERTS: path } }
}
const trusted = trusting('root.pem', root)

const colons = (one: Minted): string => new X509Certificate(one.pem).fingerprint256
const sha256 = (one: Minted): string => colons(one).replaceAll(':', '').toLowerCase()

const verify = (words: readonly string[], options: RunOptions = trusted): Promise<RunResult> =>
  runCommand(['verify', ...words], options)

/** The one object that it prints, whatever the exit status. */
const verifyJson = async (words: readonly string[], options: RunOptions = trusted) => {
  const run = await verify([...words, '--json'], options)
  t.equal(run.stdout.split('\n').length, 2, 'exactly one line')
  return { code: run.code, stderr: run.stderr, result: JSON.parse(run.stdout) as unknown }
}

t.test('the right certificate', async (t) => {
  const { connect, said } = await presenting(t, leaf, [intermediate])
  const run = await verify([host, '--connect', connect])
  t.match(run, { code: 0, stderr: '' })
  t.match(run.stdout, /^✓ static\.example\.com: served\n/)
  t.match(run.stdout, `    ✓ ${connect}  static.example.com *.example.com  until `)
  t.match(run.stdout, `  ${sha256(leaf).slice(0, 8)}  chain complete, trusted  `)
  for (const fingerprint of [sha256(leaf), sha256(leaf).toUpperCase(), colons(leaf), colons(leaf).toLowerCase()]) {
    t.match(await verify([host, '--connect', connect, '--expect-sha256', fingerprint]), { code: 0 }, fingerprint)
  }
  const environment = { ...trusted.environment, ACME_OSS_CONNECT: connect, ACME_OSS_EXPECT_SHA256: sha256(leaf) }
  t.match(await verify([host], { environment }), { code: 0 }, 'by variables')
  t.equal(Buffer.concat(said).length, 0, 'nothing is said beside handshakes')
})

t.test('as JSON', async (t) => {
  const { connect, port } = await presenting(t, leaf, [intermediate])
  const x509 = new X509Certificate(leaf.pem)
  const certificate = {
    names: [host, '*.example.com'],
    notBefore: new Date(x509.validFrom).toISOString(),
    notAfter: new Date(x509.validTo).toISOString(),
    issuer: 'CN=Corner Shop CA',
    sha1: x509.fingerprint.replaceAll(':', '').toLowerCase(),
    sha256: sha256(leaf),
  }
  const { code, result } = await verifyJson([host, '--connect', connect])
  t.equal(code, 0)
  const ms = (result as { hosts: { addresses: { ms: number }[] }[] }).hosts[0]?.addresses[0]?.ms
  t.type(ms, 'number')
  const address = {
    address: '127.0.0.1',
    port,
    served: true,
    certificate,
    trusted: true,
    chainComplete: true,
    browser: null,
    problem: null,
    ms,
  }
  t.strictSame(result, {
    schema: 'acme-oss/1',
    command: 'verify',
    ok: true,
    hosts: [{ host, port: 443, served: true, leadsTo: 'unknown', cnames: [], addresses: [address], problem: null }],
    warnings: [],
    error: null,
  })
  const { code: failed, result: other } = await verifyJson([
    host,
    'any.example.com',
    '--connect',
    connect,
    '--connect',
    `any.example.com=127.0.0.1:${await closedPort()}`,
  ])
  t.equal(failed, 1)
  t.match(other, {
    ok: false,
    hosts: [
      { served: true, problem: null },
      {
        host: 'any.example.com',
        served: false,
        addresses: [
          {
            served: false,
            certificate: null,
            trusted: null,
            chainComplete: null,
            browser: 'ERR_CONNECTION_REFUSED',
            problem: { kind: 'unreachable', message: 'the connection is refused', cause: /./, hint: /./ },
          },
        ],
        problem: { kind: 'unreachable' },
      },
    ],
    error: null,
  })
  const { code: refused, result: usage } = await verifyJson(['*.example.com'])
  t.match({ refused, usage }, { refused: 2, usage: { command: 'verify', ok: false, error: { code: 'USAGE' } } })
})

t.test('what is wrong with a certificate', async (t) => {
  const expired = await mintLeaf({ issuer: intermediate, names: [host], notAfter: daysFromNow(-1) })
  const early = await mintLeaf({ issuer: intermediate, names: [host], notBefore: daysFromNow(2) })
  const strange = await mintLeaf({ issuer: intermediate, names: ['www.example.net'] })
  const own = await mintLeaf({ names: [host] })
  const oldAuthority = await mintAuthority({ name: 'Old CA', issuer: root, notAfter: daysFromNow(-1) })
  const below = await mintLeaf({ issuer: oldAuthority, names: [host] })
  const deep = 'cdn.static.example.com'
  for (const [what, one, above, words, kind, browser, says] of [
    [
      'another one',
      before,
      [intermediate],
      ['--expect-sha256', sha256(leaf)],
      'other-certificate',
      null,
      /from before/,
    ],
    ['expired', expired, [intermediate], [], 'expired', 'ERR_CERT_DATE_INVALID', /expired on/],
    [
      'expired and expected',
      expired,
      [intermediate],
      ['--expect-sha256', sha256(expired)],
      'expired',
      'ERR_CERT_DATE_INVALID',
      /expired on/,
    ],
    ['not yet valid', early, [intermediate], [], 'not-yet-valid', 'ERR_CERT_DATE_INVALID', /clock of this machine/],
    [
      'not covered',
      strange,
      [intermediate],
      [],
      'not-covered',
      'ERR_CERT_COMMON_NAME_INVALID',
      /for www\.example\.net, not for/,
    ],
    ['leaf only', leaf, [], [], 'chain-incomplete', 'ERR_CERT_AUTHORITY_INVALID', /CN=Corner Shop CA is not sent/],
    [
      'leaf only, expected',
      leaf,
      [],
      ['--expect-sha256', sha256(leaf)],
      'chain-incomplete',
      'ERR_CERT_AUTHORITY_INVALID',
      /fullchain/,
    ],
    ['signed by itself', own, [], [], 'untrusted', 'ERR_CERT_AUTHORITY_INVALID', /signed by itself/],
    [
      'an old chain',
      below,
      [oldAuthority],
      [],
      'expired',
      'ERR_CERT_DATE_INVALID',
      /CN=Old CA, sent above it, is not in force/,
    ],
    [
      'an old chain, expected',
      below,
      [oldAuthority],
      ['--expect-sha256', sha256(below)],
      'expired',
      'ERR_CERT_DATE_INVALID',
      /chain/,
    ],
  ] as const) {
    const { connect } = await presenting(t, one, above)
    const all = [host, '--connect', connect, ...words]
    const { code, result } = await verifyJson(all)
    t.equal(code, 1, what)
    t.match(result, { ok: false, hosts: [{ served: false, addresses: [{ browser, problem: { kind } }] }] }, what)
    const run = await verify(all)
    t.equal(run.code, 1, what)
    t.match(run.stdout, /^✗ static\.example\.com: not served as it ought to be\n {4}✗ /, what)
    t.match(run.stdout, says, what)
    t.match(run.stdout, `browsers show: ${browser ?? 'the page'}`, what)
    t.match(run.stdout, /likely cause: .+\n {6}what to do: .+\n/, what)
  }
  const { connect } = await presenting(t, leaf, [intermediate])
  const run = await verify([deep, '--connect', connect])
  t.equal(run.code, 1)
  t.match(run.stdout, /ERR_CERT_COMMON_NAME_INVALID\n.*\*\.example\.com stands for exactly one label/)
})

t.test('a root that nobody knows, and one that NODE_EXTRA_CA_CERTS names', async (t) => {
  const { connect } = await presenting(t, leaf, [intermediate])
  const { connect: withRoot } = await presenting(t, leaf, [intermediate, root])
  for (const place of [connect, withRoot]) {
    const words = [host, '--connect', place]
    t.match(await verifyJson(words), { code: 0, result: { hosts: [{ addresses: [{ trusted: true }] }] } })
    t.match(await verifyJson(words, {}), {
      code: 1,
      result: { hosts: [{ addresses: [{ trusted: false, problem: { kind: 'untrusted' } }] }] },
    })
    t.match(await verifyJson([...words, '--expect-sha256', sha256(leaf)], {}), {
      code: 0,
      stderr: '',
      result: {
        warnings: [/^static\.example\.com: the CA .*CN=Corner Shop CA/],
        hosts: [{ served: true, addresses: [{ trusted: false, chainComplete: true, problem: null }] }],
      },
    })
  }
  const warned = await verify([host, '--connect', connect, '--expect-sha256', sha256(leaf)], {})
  t.match(warned, { code: 0, stdout: /not trusted/, stderr: /^warning: static\.example\.com: the CA / })
  const { connect: alone } = await presenting(t, leaf)
  const knowing = trusting('both.pem', root, intermediate)
  t.match(await verifyJson([host, '--connect', alone], knowing), {
    code: 0,
    result: { hosts: [{ addresses: [{ trusted: true }] }] },
  })
})

t.test('no handshake', async (t) => {
  const refusing = await presenting(t, leaf, [], { SNICallback: (_name, done) => done(new Error('not ours')) })
  const alerting = await answering(t, (socket) =>
    socket.once('data', () => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 112]))),
  )
  const http = await answering(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
  const silent = await answering(t, () => undefined)
  for (const [connect, kind, browser] of [
    [refusing.connect, 'refused', 'ERR_CONNECTION_RESET'],
    [alerting.connect, 'refused', 'ERR_SSL_UNRECOGNIZED_NAME_ALERT'],
    [http.connect, 'refused', 'ERR_SSL_PROTOCOL_ERROR'],
    [`127.0.0.1:${await closedPort()}`, 'unreachable', 'ERR_CONNECTION_REFUSED'],
    [silent.connect, 'timeout', 'ERR_CONNECTION_TIMED_OUT'],
  ] as const) {
    const run = await verify([host, '--connect', connect, '--timeout', '1'])
    t.equal(run.code, 1)
    t.match(run.stdout, new RegExp(`✗ ${connect}  ${kind}  \\d+ ms\\n`))
    t.match(run.stdout, `browsers show: ${browser}\n`)
  }
})

const named = async (t: Parameters<typeof serveNames>[0], zone: Zone): Promise<[string[], NameServer]> => {
  const server = await serveNames(t, zone)
  return [['--dns-resolver', server.address], server]
}

t.test('where DNS leads', async (t) => {
  const strange = await mintLeaf({ names: ['www.example.net'] })
  const place = await presenting(t, strange)
  const [words] = await named(t, {
    [host]: { cname: 'static.example.com.w.kunlunsl.com' },
    'static.example.com.w.kunlunsl.com': { a: ['127.0.0.1', '127.0.0.2'] },
  })
  const all = [`${host}:${place.port}`, ...words]
  const run = await verify(all)
  t.equal(run.code, 1)
  t.match(run.stdout, /not served as it ought to be, DNS leads to CDN \(static\.example\.com\.w\.kunlunsl\.com\)/)
  t.match(run.stdout, /what is hosted on OSS is not seen there\n.*--cdn-domain static\.example\.com/)
  t.match(run.stdout, new RegExp(`✗ 127\\.0\\.0\\.2:${place.port} +unreachable`))
  t.match((await verifyJson(all)).result, {
    hosts: [
      {
        host,
        port: place.port,
        leadsTo: 'cdn',
        cnames: ['static.example.com.w.kunlunsl.com'],
        addresses: [{ address: '127.0.0.1' }, { address: '127.0.0.2' }],
      },
    ],
  })
  const unknown = await verify(['nobody.example.com', ...words])
  t.match(unknown, { code: 1, stdout: /nobody\.example\.com does not resolve \(ENOTFOUND\)\n.*ERR_NAME_NOT_RESOLVED/ })
})

t.test('a problem that all addresses share is explained once', async (t) => {
  const ports = [await closedPort(), await closedPort()]
  const connect = ports.flatMap((port) => ['--connect', `127.0.0.1:${port}`])
  const { stdout } = await verify([host, ...connect])
  t.match(stdout, `    127.0.0.1:${ports[0]}, 127.0.0.1:${ports[1]}: the connection is refused\n`)
  t.equal(stdout.split('what to do:').length, 2)
})

t.test('waiting until all serve it', async (t) => {
  const first = await presenting(t, leaf, [intermediate])
  const second = await presenting(t, before, [intermediate], { address: '127.0.0.2' })
  const words = [host, '--connect', first.connect, '--connect', second.connect, '--expect-sha256', sha256(leaf)]
  const run = await verify([...words, '--verify-timeout', '120'], {
    ...trusted,
    // The new certificate is there once the command has said that it is not.
    onStart: (child) => child.stderr?.once('data', () => second.present(leaf, [intermediate])),
  })
  t.equal(run.code, 0)
  t.match(
    run.stderr,
    /^static\.example\.com is not served yet: another certificate is served: .*\nstatic\.example\.com is served\n$/,
  )
  t.match(run.stdout, /^✓ static\.example\.com: served\n/)
  second.present(before, [intermediate])
  t.match(await verify([...words, '--verify-timeout', '1', '--quiet']), {
    code: 1,
    stderr: '',
    stdout: /^✗ static\.example\.com: .*\n.*✓ .*\n.*✗ .*other-certificate\n/,
  })
  t.match(await verify(words), { code: 1, stderr: '' }, 'unless told, it looks once')
})

t.test('told to end while it waits', async (t) => {
  const { connect } = await presenting(t, before, [intermediate])
  const words = [host, '--connect', connect, '--expect-sha256', sha256(leaf), '--verify-timeout', '3600']
  const run = await verify(words, {
    ...trusted,
    onStart: (child) => child.stderr?.once('data', () => child.kill('SIGINT')),
  })
  t.match(run, { code: 1, stdout: '', stderr: /error: interrupted/ })
})

t.test('several hosts, each once', async (t) => {
  const { connect, port } = await presenting(t, leaf, [intermediate])
  const hosts = [host, 'STATIC.example.com.', 'any.example.com', `any.example.com:${port}`]
  const { code, result } = await verifyJson([...hosts, '--connect', connect])
  t.equal(code, 0)
  t.match(result, {
    hosts: [
      { host, port: 443 },
      { host: 'any.example.com', port: 443 },
      { host: 'any.example.com', port },
    ],
  })
  t.equal((result as { hosts: unknown[] }).hosts.length, 3)
})

t.test('an address is a host as well', async (t) => {
  const own = await mintLeaf({ issuer: intermediate, names: ['127.0.0.1'] })
  const place = await presenting(t, own, [intermediate])
  t.match(await verify([`127.0.0.1:${place.port}`]), { code: 0 })
  const other = await presenting(t, leaf, [intermediate])
  t.match(await verify([`127.0.0.1:${other.port}`]), { code: 1, stdout: /ERR_CERT_COMMON_NAME_INVALID/ })
})

t.test('what is refused', async (t) => {
  for (const [words, says, hint] of [
    [[], /given too little/, /acme-oss verify HOST\[:PORT\]\.\.\./],
    [['https://static.example.com/a?b'], /is a URL, not a host/, /acme-oss verify static\.example\.com\n/],
    [['https://static.example.com:8443/'], /is a URL, not a host/, /acme-oss verify static\.example\.com:8443\n/],
    [['static.example.com/index.html'], /is a URL, not a host/, /acme-oss verify static\.example\.com\n/],
    [['*.example.com'], /a wildcard is no host/, /such as www\.example\.com/],
    [['*.example.com:8443'], /a wildcard is no host/, /such as www\.example\.com/],
    [['a b'], /"a b" is no host/, /\[::1\]:8443/],
    [['example.com:0'], /is no host/, /with a port/],
    [['example.com:65536'], /is no host/, /with a port/],
    [['example.com:'], /is no host/, /with a port/],
    [['[example.com]:443'], /is no host/, /with a port/],
    [[host, '--expect-sha256', 'e5f6a7b8'], /takes 64 hexadecimal digits/, /openssl x509/],
    [[host, '--expect-sha256', colons(leaf).replace(':', '')], /takes 64 hexadecimal digits/, /openssl x509/],
    [[host, '--connect', '127.0.0.1'], /takes ADDR:PORT or HOST=ADDR:PORT/, /--connect \[::1\]:8443/],
    [[host, '--connect', '*.example.com=127.0.0.1:443'], /cannot read the host/, /leave the host out/],
    [[host, '--dns-resolver', 'dns.example.com'], /takes ADDR or ADDR:PORT/, /not its name/],
    [[host, '--verify-timeout', '-1'], /whole number/, /./],
    [[host, '--timeout', '0'], /whole number from 1/, /./],
  ] as const) {
    const run = await verify(words)
    t.match(run, { code: 2, stdout: '', stderr: says }, words.join(' '))
    t.match(run.stderr, hint, words.join(' '))
  }
})
