// One product's API over the wire, against the emulator, which checks every signature with code of its own.
import t, { type Test } from 'tap'
import type { Credentials } from '../../src/aliyun/credentials.js'
import { Pace } from '../../src/aliyun/pace.js'
import { isForbidden, RpcClient, vendorCode } from '../../src/aliyun/rpc.js'
import { CertError } from '../../src/errors.js'
import { HttpConnections } from '../../src/http-connections.js'
import { redact, Secret } from '../../src/secret.js'
import type { AccessKey } from '../emulator/access-key.js'
import { type Emulator, startEmulator } from '../emulator/emulator.js'

const action = 'DescribeUserDomains'
const attempted = { doing: 'listing the domains', action: `cdn:${action}`, resource: '*' }
const everything = [{ action: '*', resource: '*' }]
const { signal } = new AbortController()

interface Opened {
  readonly emulator: Emulator
  readonly client: RpcClient
  readonly lines: string[]
}

const open = async (
  t: Test,
  key: Partial<AccessKey> = {},
  given: Partial<Credentials> = {},
  { pace = new Pace(1000, 10), timeout = 5000 }: { readonly pace?: Pace; readonly timeout?: number } = {},
): Promise<Opened> => {
  const emulator = await startEmulator()
  const connections = new HttpConnections()
  t.teardown(async () => {
    connections.close()
    await emulator.close()
  })
  emulator.addKey({ id: 'LTAI-rpc', secret: 'the-secret-of-rpc', allow: everything, ...key })
  const lines: string[] = []
  const client = new RpcClient({
    endpoint: new URL(emulator.url),
    version: '2018-05-10',
    credentials: async () => ({
      accessKeyId: new Secret('LTAI-rpc'),
      accessKeySecret: new Secret('the-secret-of-rpc'),
      securityToken: undefined,
      ...given,
    }),
    connections,
    timeout,
    now: () => new Date(),
    pace,
    trace: (line) => lines.push(line),
  })
  return { emulator, client, lines }
}

const list = ({ client }: Opened) => client.call(action, { PageNumber: 1 }, attempted, signal)

const refusal = async (work: Promise<unknown>): Promise<CertError> => {
  try {
    await work
  } catch (error) {
    if (error instanceof CertError) return error
    throw error
  }
  throw new Error('it was not refused')
}

t.test('a call and its answer', async (t) => {
  const world = await open(t)
  world.emulator.addCdnDomain('www.example.com')
  t.match(await list(world), { TotalCount: 1, RequestId: /^[0-9A-F-]{36}$/ })
  const [request] = world.emulator.requests
  t.match(request, { method: 'POST', target: '/', action: 'cdn:DescribeUserDomains' })
  t.match(world.lines, [/^DescribeUserDomains at http:\/\/127\.0\.0\.1:\d+ 200 in \d+ ms \([0-9A-F-]{36}\)$/])
})

t.test('parameters arrive as they were given', async (t) => {
  const world = await open(t)
  const pem = "-----BEGIN X-----\nab+/=&% ~*'()!ü\n-----END X-----\n"
  const parameters = {
    DomainName: pem,
    PageNumber: 1,
    CheckDomainShow: true,
    PageSize: undefined,
    Secret: new Secret(pem),
  }
  await refusal(world.client.call(action, parameters, attempted, signal))
  t.same(
    world.emulator.requests[0]?.parameters.map(({ name, value, position }) => [name, value, position]),
    [
      ['DomainName', pem, 'body'],
      ['PageNumber', '1', 'body'],
      ['CheckDomainShow', 'true', 'body'],
      ['Secret', pem, 'body'],
    ],
    'what is undefined is left out, and nothing stands in the URL',
  )
  t.equal(world.emulator.requests[0]?.answer?.code, 'InvalidParameter', 'the signature held')
})

t.test('temporary credentials', async (t) => {
  const token = 'CAIS+token/with=signs'
  const world = await open(t, { token }, { securityToken: new Secret(token) })
  t.match(await list(world), { TotalCount: 0 })
  t.match(world.emulator.requests[0]?.headers, { 'x-acs-security-token': token, 'x-acs-accesskey-id': 'LTAI-rpc' })

  const forgotten = await refusal(list(await open(t, { token })))
  t.match(forgotten, { code: 'CLOUD_REFUSED', vendor: { code: 'MissingSecurityToken' } })
  const other = { securityToken: new Secret('CAIS-another-token') }
  const malformed = await refusal(list(await open(t, { token }, other)))
  t.match(malformed, { vendor: { code: 'InvalidSecurityToken.Malformed' }, hint: /temporary credentials/ })
  const expired = await open(t, { token, expired: true }, { securityToken: new Secret(token) })
  t.match(await refusal(list(expired)), {
    vendor: { code: 'InvalidSecurityToken.Expired' },
    hint: /temporary credentials ran out/,
  })
  t.equal(expired.emulator.requests.length, 1, 'asked once')
})

t.test('another secret', async (t) => {
  const world = await open(t, {}, { accessKeySecret: new Secret('not-the-secret') })
  const error = await refusal(list(world))
  t.match(error, { vendor: { code: 'SignatureDoesNotMatch' }, hint: /ALIBABA_CLOUD_ACCESS_KEY_SECRET/ })
  t.notMatch(error.message, /\n|[0-9a-f]{64}/, 'of what the vendor echoes, one line')
})

t.test('throttling says how long to wait', async (t) => {
  const world = await open(t)
  const headers = { 'x-acs-retry-after': '321' }
  world.emulator.fail({ nth: [1, 2] }, { status: 400, code: 'Throttling.User', headers })
  await list(world)
  t.equal(world.emulator.requests.length, 3)
  const pauses = world.lines.flatMap((line) => /trying again in (\d+) ms/.exec(line)?.[1] ?? []).map(Number)
  t.equal(pauses.length, 2)
  t.ok(
    pauses.every((pause) => pause >= 321),
    'no sooner than it was asked to',
  )
  const nonces = world.emulator.requests.map(({ headers }) => headers['x-acs-signature-nonce'])
  t.equal(new Set(nonces).size, 3, 'signed anew each time')

  for (const value of ['-1', '1e9', 'soon', '99999999999']) {
    const odd = await open(t)
    odd.emulator.fail({ nth: 1 }, { status: 400, code: 'Throttling', headers: { 'x-acs-retry-after': value } })
    await list(odd)
    t.equal(odd.emulator.requests.length, 2, `x-acs-retry-after: ${value} is no reason to give up`)
  }
  const long = await open(t)
  const hour = { 'x-acs-retry-after': '3600000' }
  long.emulator.fail({}, { status: 400, code: 'Throttling.Api', headers: hour })
  const error = await refusal(list(long))
  t.match(error, { code: 'CLOUD_UNAVAILABLE', passing: true, vendor: { code: 'Throttling.Api' } })
  t.equal(long.emulator.requests.length, 1, 'what is longer than the time there is is not waited for')
})

t.test('what passes is tried again, the rest is not', async (t) => {
  for (const [status, code] of [
    [500, 'InternalError'],
    [503, 'ServiceUnavailable'],
    [403, 'ServiceBusy'],
    [400, 'Throttling'],
    [400, 'throttling.system'],
    [429, 'Whatever'],
    [400, 'SignatureNonceUsed'],
  ] as const) {
    const world = await open(t)
    world.emulator.fail({ nth: 1 }, { status, code })
    await list(world)
    t.equal(world.emulator.requests.length, 2, code)
  }
  for (const [status, code] of [
    [403, 'Forbidden.RAM'],
    [404, 'InvalidDomain.NotFound'],
    [400, 'InvalidParameter'],
  ] as const) {
    const world = await open(t)
    world.emulator.fail({}, { status, code })
    const error = await refusal(list(world))
    t.match(error, { code: 'CLOUD_REFUSED', passing: false, vendor: { code, requestId: /^[0-9A-F-]{36}$/ } })
    t.equal(vendorCode(error), code.toLowerCase())
    t.equal(isForbidden(error), code === 'Forbidden.RAM')
    t.equal(world.emulator.requests.length, 1, code)
  }
})

t.test('what is no answer of the product', async (t) => {
  for (const fault of [
    { html: 502 },
    { html: 200 },
    { cutBody: true },
    { reset: 'before' },
    { reset: 'after' },
  ] as const) {
    const world = await open(t)
    world.emulator.fail({ nth: 1 }, fault)
    t.match(await list(world), { TotalCount: 0 }, JSON.stringify(fault))
    t.equal(world.emulator.requests.length, 2)
  }
  const proxy = await open(t)
  proxy.emulator.fail({}, { html: 403 })
  const error = await refusal(list(proxy))
  t.match(error, { code: 'CLOUD_REFUSED', vendor: { code: 'HTTP 403' }, hint: /not an answer of Alibaba Cloud/ })
  t.notMatch(error.message, /</, 'nothing of its page is shown')
})

t.test('nobody answers', async (t) => {
  const world = await open(t)
  await world.emulator.close()
  const error = await refusal(list(world))
  t.match(error, { code: 'CLOUD_UNAVAILABLE', passing: true, message: /cannot be reached \(ECONNREFUSED\)/ })
})

t.test('waiting for its turn takes nothing from the time that a call has', async (t) => {
  const world = await open(t, {}, {}, { pace: new Pace(5, 1), timeout: 1000 })
  world.emulator.fail({ nth: 9 }, { status: 503, code: 'ServiceUnavailable' })
  const answers = await Promise.all(Array.from({ length: 10 }, () => list(world)))
  t.equal(answers.length, 10)
  t.equal(world.emulator.requests.length, 11, 'the one that failed waited for another turn')
})

t.test('an interruption ends the waiting', async (t) => {
  const world = await open(t)
  world.emulator.fail({}, { hang: true })
  const stop = new AbortController()
  const calling = world.client.call(action, {}, attempted, stop.signal)
  while (world.emulator.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
  stop.abort()
  t.match(await refusal(calling), { code: 'INTERRUPTED' })
})

t.test('no secret of a request is in what is said of it', async (t) => {
  const world = await open(t)
  world.emulator.fail({}, { status: 400, code: 'InvalidSSLPri' })
  const privateKey = new Secret('MHcCAQEEIOs5uXJtd7CvmFuS')
  const error = await refusal(world.client.call(action, { SSLPri: privateKey }, attempted, signal))
  const said = [error.message, error.hint, JSON.stringify(error), ...world.lines].join('\n')
  t.equal(redact(said), said, 'there is nothing to take out')
})
