// Proving names by objects in the bucket that they are bound to: what the solver puts there, what it sees, and what it
// makes of it. A real CA is in bucket-orders.test.ts.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { defaultCredentials } from '../../src/aliyun/credentials.js'
import { HttpConnections } from '../../src/http-connections.js'
import { createSolver } from '../../src/solvers/index.js'
import type { Challenge, Solver } from '../../src/solvers/solver.js'
import type { SolverSettings } from '../../src/solvers/solver-settings.js'
import { mintMaterial } from '../deploy-world.js'
import type { Emulator } from '../emulator/emulator.js'
import { startEmulator } from '../emulator/emulator.js'
import { serveNames, type Zone } from '../proof/name-server.js'

const { signal } = new AbortController()
const bucket = 'my-website'
const folder = '.well-known/acme-challenge/'
const rights = { id: 'LTAI5tBucketSolver000001', secret: 'a3Qx9LwPz7TnVb2KcRmY5sEdUfGhJk' }
const everything = [{ action: '*', resource: '*' }]

const zone: Record<string, Zone[string]> = {}
const names = await serveNames(t, zone)
const emulator = await startEmulator()
t.teardown(() => emulator.close())
const plain = await emulator.startPlainEdge()
const edge = await emulator.startEdge()
const connections = new HttpConnections()
t.teardown(() => connections.close())
emulator.addKey({ ...rights, allow: everything })

let count = 0
/** A name that DNS leads to this machine. */
const newName = (label = 'site'): string => {
  const name = `${label}${++count}.example.com`
  zone[name] = { a: ['127.0.0.1'] }
  return name
}

/** A bucket of its own for each test, as `Emulator.addBucket` takes it. */
const newBucket = (options: Parameters<Emulator['addBucket']>[1] = {}): string =>
  emulator.addBucket(`${bucket}-${++count}`, options).name

const challengeFor = (domain: string, token = `token-${++count}`): Challenge => ({
  type: 'http-01',
  domain,
  token,
  place: `/${folder}${token}`,
  value: `${token}.thumbprint`,
})

const solverFor = (name: string, settings: Partial<SolverSettings> = {}, timeout = 600): Solver =>
  createSolver(
    {
      solver: 'bucket',
      challenge: 'http-01',
      httpPort: plain.port,
      tlsPort: edge.port,
      dnsResolver: names.address,
      challengeBucket: name,
      challengeRegion: 'cn-hangzhou',
      challengeEndpoint: emulator.url,
      ...settings,
    },
    {
      environment: {},
      credentials: defaultCredentials({
        ALIBABA_CLOUD_ACCESS_KEY_ID: rights.id,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET: rights.secret,
      }),
      connections,
      timeout,
      now: () => new Date(),
    },
  )

/** What was said while it settled. */
const settle = async (solver: Solver, challenges: readonly Challenge[]): Promise<string[]> => {
  const said: string[] = []
  await solver.settle?.(challenges, (what) => said.push(what), signal)
  return said
}

/** Presents one challenge, and settles it; cleaned up in any case. */
const prove = async (solver: Solver, challenge: Challenge): Promise<string[]> => {
  try {
    await solver.present(challenge, [], signal)
    return await settle(solver, [challenge])
  } finally {
    await solver.cleanUp(challenge, [], signal)
  }
}

const keysIn = (name: string): string[] => [...emulator.objects(name).keys()].sort()

t.test('what is put there, and taken away', async (t) => {
  const name = newBucket()
  emulator.putObject(name, 'index.html', 'hello')
  emulator.putObject(name, `${folder}somebody-elses`, 'stays')
  const domain = newName()
  emulator.bindCname(domain, name)
  const challenge = challengeFor(domain)
  const solver = solverFor(name)
  await solver.present(challenge, [], signal)
  const object = emulator.objects(name).get(`${folder}${challenge.token}`)
  t.equal(object?.body.toString(), challenge.value)
  t.match(object, {
    acl: 'public-read',
    headers: { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' },
  })
  t.same(await settle(solver, [challenge]), [])

  t.same(keysIn(name).length, 3)
  const later = solverFor(name)
  await later.cleanUp(challenge, [], signal)
  t.same(keysIn(name), [`${folder}somebody-elses`, 'index.html'], 'by a process that knows nothing but the challenge')
  await later.cleanUp(challenge, [], signal)
  t.same(keysIn(name), [`${folder}somebody-elses`, 'index.html'], 'where nothing is, there is nothing to do')
  await solverFor('no-such-bucket').cleanUp(challenge, [], signal)
})

t.test('behind CDN, through a redirect as well', async (t) => {
  const name = newBucket()
  const [first, second] = [newName('cdn'), newName('cdn')]
  emulator.addCdnDomain(first, { origin: name })
  emulator.addCdnDomain(second, {
    origin: name,
    certificate: await mintMaterial({ names: [second] }),
    forcedRedirect: edge.port,
  })
  const solver = solverFor(name)
  const challenges = [first, second].map((one) => challengeFor(one))
  for (const one of challenges) await solver.present(one, [], signal)
  t.same(await settle(solver, challenges), [])
  t.ok(
    edge.handshakes.some(({ host }) => host === second),
    'the redirect was followed, although nobody trusts it',
  )
})

interface Trouble {
  readonly about: string
  readonly bucket?: Parameters<Emulator['addBucket']>[1]
  /** Leads a name there; bound to the bucket unless told. */
  readonly lead?: (domain: string, bucket: string) => void
  readonly denied?: string
  readonly message: RegExp
  readonly hint: RegExp
  readonly code?: string
}

const troubles: readonly Trouble[] = [
  {
    about: 'a policy denies plain HTTP',
    bucket: { denyPlainHttp: true },
    message: /^site\d+\.example\.com: OSS lets nobody read the answer: AccessDenied \(.*bucket policy\)$/,
    hint: /^a policy of the bucket denies plain HTTP \(acs:SecureTransport\).*take my-website-\d+\/\.well-known.*--solver alidns$/,
    code: 'AccessDenied',
  },
  {
    about: 'the same behind CDN',
    bucket: { denyPlainHttp: true },
    lead: (domain, name) => emulator.addCdnDomain(domain, { origin: name }),
    message: /AccessDenied/,
    hint: /acs:SecureTransport/,
    code: 'AccessDenied',
  },
  {
    about: 'the bucket blocks public access',
    bucket: { blockPublicAccess: true },
    message: /OSS lets nobody read the answer/,
    hint: /^it could not be made readable \(AccessDenied \(Put public object acl is not allowed\)\).*does not block public access/,
    code: 'AccessDenied',
  },
  {
    about: 'the access key may not set ACLs',
    denied: 'oss:PutObjectAcl',
    message: /OSS lets nobody read the answer/,
    hint: /^it could not be made readable \(.*\): grant oss:PutObjectAcl on acs:oss:\*:\*:my-website-\d+\/\.well-known\/acme-challenge\/\*/,
    code: 'AccessDenied',
  },
  {
    about: 'a forced redirect, and no HTTPS',
    lead: (domain, name) => emulator.addCdnDomain(domain, { origin: name, forcedRedirect: edge.port }),
    message:
      /^site\d+\.example\.com redirects plain HTTP to https:\/\/site\d+\.example\.com:\d+, where nobody answers \(\w+\)$/,
    hint: /switch it off until the certificate is there.*Force Redirect.*--solver alidns/,
  },
  {
    about: 'the name is bound to another bucket',
    lead: (domain) => emulator.bindCname(domain, newBucket({ acl: 'public-read' })),
    message: /^site\d+\.example\.com leads to another bucket than my-website-\d+, which has no answer \(NoSuchKey\)$/,
    hint: /--challenge-bucket/,
    code: 'NoSuchKey',
  },
  {
    about: 'that other bucket is private, and does not say what it has',
    lead: (domain) => emulator.bindCname(domain, newBucket()),
    message: /^site\d+\.example\.com: OSS lets nobody read the answer: AccessDenied \(.*bucket acl\)$/,
    hint: /^one of three: .*acs:SecureTransport.*blocks public access.*site\d+\.example\.com leads to another bucket.*--challenge-bucket.*--solver alidns$/,
    code: 'AccessDenied',
  },
  {
    about: 'the name is bound to no bucket',
    lead: () => undefined,
    message: /leads to OSS, but is bound to no bucket \(NonStandardHostForbidden\)$/,
    hint: /^bind it to my-website-\d+/,
    code: 'NonStandardHostForbidden',
  },
]

for (const { about, bucket: options, lead, denied, message, hint, code } of troubles) {
  t.test(about, async (t) => {
    const name = newBucket(options)
    const domain = newName()
    if (lead === undefined) emulator.bindCname(domain, name)
    else lead(domain, name)
    if (denied !== undefined)
      emulator.addKey({ ...rights, allow: everything, deny: [{ action: denied, resource: '*' }] })
    t.teardown(() => emulator.addKey({ ...rights, allow: everything }))
    const vendor = code === undefined ? {} : { vendor: { code } }
    await t.rejects(prove(solverFor(name), challengeFor(domain)), { code: 'SOLVER_FAILED', message, hint, ...vendor })
    t.same(keysIn(name), [], 'cleaned up')
  })
}

t.test('an ACL that is refused does no harm in a public bucket', async (t) => {
  const name = newBucket({ acl: 'public-read' })
  const domain = newName()
  emulator.bindCname(domain, name)
  emulator.addKey({ ...rights, allow: everything, deny: [{ action: 'oss:PutObjectAcl', resource: '*' }] })
  t.teardown(() => emulator.addKey({ ...rights, allow: everything }))
  t.same(await prove(solverFor(name), challengeFor(domain)), [])
})

t.test('several names that fail are all named', async (t) => {
  const name = newBucket({ denyPlainHttp: true })
  const domains = [newName(), newName()]
  for (const one of domains) emulator.bindCname(one, name)
  const solver = solverFor(name)
  const challenges = domains.map((one) => challengeFor(one))
  for (const one of challenges) await solver.present(one, [], signal)
  await t.rejects(settle(solver, challenges), { message: new RegExp(`^${domains[0]}: .*; ${domains[1]}: `) })
})

t.test('who may not put at all is told so', async (t) => {
  const name = newBucket()
  emulator.addKey({ ...rights, allow: [] })
  t.teardown(() => emulator.addKey({ ...rights, allow: everything }))
  await t.rejects(solverFor(name).present(challengeFor(newName()), [], signal), {
    code: 'CLOUD_REFUSED',
    hint: /grant the RAM user oss:PutObject on acs:oss:\*:\*:my-website-\d+\/\.well-known\/acme-challenge\/token-\d+/,
  })
})

t.test('an account that may write through bound domains alone', async (t) => {
  const name = newBucket({ publicEndpointForbidden: true })
  // Stands for https://site.example.com, which the emulator does not serve.
  const domain = 'site.localhost'
  emulator.bindCname(domain, name)
  const challenge = challengeFor(domain)
  await t.rejects(solverFor(name).present(challenge, [], signal), {
    code: 'CLOUD_REFUSED',
    vendor: { code: 'PublicEndpointForbidden' },
    message: /PublicEndpointForbidden.*cannot begin with the bucket solver.*over HTTPS.*certificate first$/,
    hint: /--solver alidns.*--challenge-endpoint https:\/\/your\.domain/,
  })
  t.same(keysIn(name), [])
  const solver = solverFor(name, {
    challengeEndpoint: `http://${domain}:${emulator.port}`,
    challengeEndpointIs: 'bound domain',
    dnsResolver: undefined,
  })
  t.same(await prove(solver, challenge), [], 'once there is a certificate, its domain will do')
  const put = emulator.requests.findLast(({ method }) => method === 'PUT')
  t.match(put, { host: `${domain}:${emulator.port}`, target: challenge.place, answer: { status: 200 } })
})

// --- what others answer ---

type Answering = (request: IncomingMessage, response: ServerResponse) => void

const serving = async (t: Test, answering: Answering): Promise<number> => {
  const server = createServer(answering).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

t.test('nobody can tell from here', async (t) => {
  const name = newBucket()
  const closed = await serving(t, () => undefined)
  zone['away.example.com'] = { a: ['127.0.0.3'] }
  const challenges = ['away.example.com', 'nowhere.example.com'].map((one) => challengeFor(one))
  const said = await settle(solverFor(name, { httpPort: closed }), challenges)
  t.same(said, [
    'away.example.com cannot be looked at from here (ECONNREFUSED)',
    'nowhere.example.com cannot be looked at from here (ENOTFOUND)',
  ])
})

t.test('an answer that is there a moment later', async (t) => {
  const challenge = challengeFor(newName())
  let asked = 0
  const httpPort = await serving(t, (_, response) => {
    response.writeHead(++asked < 3 ? 404 : 200).end(asked < 3 ? '' : `${challenge.value}\r\n`)
  })
  t.same(await settle(solverFor(newBucket(), { httpPort }, 5000), [challenge]), [])
  t.equal(asked, 3)
})

t.test('something else answers', async (t) => {
  const challenge = challengeFor(newName())
  const name = newBucket()
  let answer: Answering = () => undefined
  const httpPort = await serving(t, (request, response) => answer(request, response))
  const solver = solverFor(name, { httpPort })
  const failing = (message: RegExp, hint: RegExp) => t.rejects(settle(solver, [challenge]), { message, hint })

  answer = (_, response) => response.writeHead(200, { server: 'nginx/1.26 (\u00a0)' }).end('Welcome')
  await failing(/instead of the answer there is another page, from a server called nginx\/1\.26/, /--solver webroot/)
  answer = (_, response) => response.writeHead(418).end(challenge.value)
  await failing(/there is HTTP 418, from a server that does not say which$/, new RegExp(`has to lead to ${name}`))
  answer = (_, response) => response.writeHead(403).end('<Error><Code>UserDisable</Code></Error>')
  await failing(/instead of the answer OSS says UserDisable \(HTTP 403\)$/, /OSS console/)
  answer = (_, response) => response.writeHead(200).end(Buffer.alloc(200_000, 'x'))
  await failing(/another page/, /DNS/)

  const redirects: Record<string, RegExp> = {
    'https://other.example.com:8443/': /redirects to port 8443, and CAs go to 80 and 443 alone: no CA follows$/,
    'ftp://other.example.com/': /redirects to something else than http and https: no CA follows$/,
    'http://[': /redirects to nowhere: no CA follows$/,
    '/again': /redirects more than 5 times: no CA follows$/,
  }
  for (const [location, message] of Object.entries(redirects)) {
    answer = (_, response) => response.writeHead(302, { location }).end()
    await failing(message, /let the redirect leave out \/\.well-known\/acme-challenge\//)
  }
  answer = ({ url }, response) =>
    url === '/moved' ? response.end('Welcome') : response.writeHead(301, { location: '/moved' }).end()
  await failing(/^site\d+\.example\.com, which redirects to http:\/\/site\d+\.example\.com:\d+: instead/, /DNS/)
  answer = ({ url }, response) =>
    url === '/moved' ? response.end(challenge.value) : response.writeHead(308, { location: '/moved' }).end()
  t.same(await settle(solver, [challenge]), [], 'a redirect that leads there')
  answer = (_, response) => response.writeHead(302, { location: `http://nowhere.example.com:${httpPort}/` }).end()
  t.match(
    await settle(solver, [challenge]),
    [/cannot be looked at from here/],
    'to another host that is not known here',
  )
})

t.test('an interrupted run does not wait', async (t) => {
  const run = new AbortController()
  const httpPort = await serving(t, () => run.abort())
  const settling = solverFor(newBucket(), { httpPort }).settle?.([challengeFor(newName())], () => undefined, run.signal)
  await t.rejects(settling as Promise<void>, { code: 'INTERRUPTED' })
})

t.test('what it has to be told', async (t) => {
  const make = (settings: Partial<SolverSettings>) => () => solverFor(bucket, settings)
  t.throws(make({ challengeBucket: undefined }), { code: 'USAGE', hint: 'add --challenge-bucket BUCKET' })
  t.throws(make({ challengeRegion: undefined }), { code: 'USAGE', hint: /^add --challenge-region,/ })
  t.throws(make({ challengeEndpoint: 'http://oss.example.com' }), { code: 'USAGE', message: /^--challenge-endpoint/ })
  t.throws(make({ challenge: 'dns-01' }), { code: 'USAGE', message: /bucket cannot answer dns-01/ })
  t.doesNotThrow(make({ challengeRegion: undefined, challengeEndpoint: 'https://oss-cn-hangzhou.aliyuncs.com' }))
})
