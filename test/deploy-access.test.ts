// Who may do what, where the bucket is, and who can read it.
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import {
  bucket,
  bucketHost,
  day,
  deploymentsIn,
  isPut,
  keepSecret,
  mintMaterial,
  newAccessKey,
  openWorld,
  prefix,
  proveSilence,
  provesLayout,
  putKeys,
  resultOf,
  stepError,
  type World,
  type WorldRun,
} from './deploy-world.js'
import { sendRaw } from './emulator/send-raw.js'
import { keyPem, mintAuthority, mintLeaf } from './mint.js'

const material = await mintMaterial()
const onPrefix = [{ action: 'oss:PutObject', resource: `acs:oss:*:*:${bucket}/${prefix}*` }]
const withAcl = [{ action: ['oss:PutObject', 'oss:PutObjectAcl'], resource: `${bucket}/${prefix}*` }]
const looking = { action: ['oss:GetBucketAcl', 'oss:GetBucketPolicyStatus'], resource: bucket }

const keyObjects = (world: World): string[] => [...world.objects.keys()].filter((key) => key.endsWith('privkey.pem'))

const deployed = async (t: Test, world: World, words: readonly string[] = [], options: WorldRun = {}) => {
  const run = await world.deploy(material, [...world.toBucket, '--json', ...words], options)
  t.equal(run.code, 0, run.code === 0 ? 'exit 0' : run.stdout)
  return resultOf(run)
}

/** It ends with exit 1, says so in one JSON object, and everything is still wanted. */
const failed = async (t: Test, world: World, words: readonly string[] = [], options: WorldRun = {}) => {
  const run = await world.deploy(material, [...world.toBucket, '--json', '--timeout', '5', ...words], options)
  t.equal(run.code, 1, run.stderr)
  const result = resultOf(run)
  t.match(result, { ok: false, error: null, stages: [{ status: 'failed' }] })
  const steps = ['archive', 'latest']
  t.same(
    result.pending.map(({ step }) => step).sort(),
    steps.slice(steps.indexOf(result.pending[0]?.step ?? '')),
    'what is not done is still wanted',
  )
  for (const { privateKey } of deploymentsIn(world.state)) t.equal(privateKey, material.key, 'and can be done')
  return result
}

const anonymously = (world: World, key: string) => sendRaw(world.emulator.port, { target: `/${key}`, host: bucketHost })

t.test('oss:PutObject on the prefix is enough', async (t) => {
  for (const hideMissing of [false, true]) {
    const world = await openWorld(t, { here: true, allow: onPrefix, key: { hideMissing } })
    const run = await world.deploy(material, world.toBucket, { terse: true })
    t.equal(run.code, 0)
    provesLayout(t, world.objects, material)
    const warnings = run.stderr.split('\n').filter((line) => line.startsWith('warning:'))
    t.equal(warnings.length, 1, 'one line about what could not be done')
    t.match(warnings[0], /private key has no access rule of its own.*oss:PutObjectAcl/)
    t.match(run.stderr, /reading is not permitted/)
    t.equal(run.stderr.split('\n').length, 4, 'two steps and the warning')
    t.equal(putKeys(world.emulator).length, 10)
    t.equal(deploymentsIn(world.state)[0]?.privateKey, undefined)

    const again = await deployed(t, world)
    t.equal(again.stages[0]?.steps[0]?.status, 'unchanged', 'the archive is left as it is')
    provesLayout(t, world.objects, material)
  }
})

t.test('with oss:PutObjectAcl there is nothing to warn of', async (t) => {
  const world = await openWorld(t, { allow: withAcl, bucket: { acl: 'public-read' } })
  t.same((await deployed(t, world)).warnings, [])
  provesLayout(t, world.objects, material)
  t.equal(world.emulator.requests.filter(({ query }) => 'acl' in query).length, 0, 'the bucket is not asked about')

  for (const folder of ['latest', material.archive]) {
    t.equal((await anonymously(world, `${prefix}${folder}/README.md`)).status, 200, 'the bucket is public')
    t.equal((await anonymously(world, `${prefix}${folder}/cert.pem`)).status, 200)
    const key = await anonymously(world, `${prefix}${folder}/privkey.pem`)
    t.match(key, { status: 403, code: 'AccessDenied' }, 'the key is not')
    t.notMatch(key.body, /PRIVATE KEY/)
  }
})

t.test('an access key for which the header needs no right of its own', async (t) => {
  const world = await openWorld(t, { allow: onPrefix, key: { aclHeaderNeedsNothing: true } })
  t.same((await deployed(t, world)).warnings, [])
  for (const key of keyObjects(world)) t.equal(world.objects.get(key)?.acl, 'private')
})

t.test('the key does not go into a bucket that anybody can read', async (t) => {
  const open = [{ acl: 'public-read' }, { acl: 'public-read-write' }, { policyPublic: true }] as const
  for (const exposed of open) {
    const world = await openWorld(t, { here: true, allow: [...onPrefix, looking], bucket: exposed })
    const result = await failed(t, world)
    const error = stepError(result)
    t.equal(error.code, 'KEY_WOULD_BE_PUBLIC')
    t.match(error.message, /my-ssl-certs can be read by anybody/)
    t.match(error.hint, /oss:PutObjectAcl.*private.*another bucket.*--allow-public-bucket/)
    t.same(keyObjects(world), [], 'no key anywhere')
    t.notOk(
      world.emulator.requests.some(
        ({ key = '', headers }) => key.endsWith('privkey.pem') && headers['x-oss-object-acl'] !== 'private',
      ),
      'it was never sent without protection',
    )
    t.equal(result.stages[0]?.steps[1]?.status, 'skipped', 'latest/ is not begun')

    const forced = await deployed(t, world, ['--allow-public-bucket'])
    t.match(forced.warnings, [/can be read by anybody, and with it the private key/])
    t.equal(forced.warnings.length, 1)
    provesLayout(t, world.objects, material)
  }
})

t.test('only the policy can be read, and it is public', async (t) => {
  const policy = { action: 'oss:GetBucketPolicyStatus', resource: bucket }
  const world = await openWorld(t, { here: true, allow: [...onPrefix, policy], bucket: { policyPublic: true } })
  t.equal(stepError(await failed(t, world)).code, 'KEY_WOULD_BE_PUBLIC')
})

t.test('a bucket that is known to be private needs no warning', async (t) => {
  const world = await openWorld(t, { here: true, allow: [...onPrefix, looking] })
  t.same((await deployed(t, world)).warnings, [])
  provesLayout(t, world.objects, material)
})

t.test('a bucket that was made private afterwards gets what was missing', async (t) => {
  const world = await openWorld(t, { here: true, allow: [...onPrefix, looking], bucket: { acl: 'public-read' } })
  await failed(t, world)
  // The bucket that the emulator has is the one that was given to it last.
  const held = new Map(world.objects)
  const closed = world.emulator.addBucket(bucket, { acl: 'private' })
  for (const [key, object] of held) closed.objects.set(key, object)
  await deployed(t, world)
  provesLayout(t, closed.objects, material)
  t.equal(deploymentsIn(world.state)[0]?.privateKey, undefined, 'and the record lets go of the key')
})

t.test('nothing can be learnt about the bucket: it is written, with a warning', async (t) => {
  t.test('reading is denied', async (t) => {
    const world = await openWorld(t, { here: true, allow: onPrefix, bucket: { acl: 'public-read' } })
    const { warnings } = await deployed(t, world)
    t.match(warnings, [/whether oss:\/\/my-ssl-certs is private cannot be read/])
    provesLayout(t, world.objects, material)
  })
  t.test('the service does not know the question', async (t) => {
    const world = await openWorld(t, { here: true, allow: onPrefix })
    world.emulator.fail({ action: 'oss:GetBucket*' }, { status: 400, code: 'NotImplemented' })
    t.equal((await deployed(t, world)).warnings.length, 1)
    provesLayout(t, world.objects, material)
  })
  t.test('the endpoint for such questions cannot be reached', async (t) => {
    const world = await openWorld(t, { here: true, allow: onPrefix })
    const closed = `http://127.0.0.1:${await closedPort()}`
    const { warnings } = await deployed(t, world, ['--bucket-endpoint', closed, '--timeout', '5'])
    t.equal(warnings.length, 1)
    provesLayout(t, world.objects, material)
  })
})

const closedPort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })

t.test('latest/ cannot be read for another reason than a missing right', async (t) => {
  const reasons = [
    // A lifecycle rule has moved it into cold storage.
    { status: 403, code: 'InvalidObjectState' },
    { status: 405, code: 'MethodNotAllowed' },
    { status: 400, code: 'KmsServiceNotEnabled' },
  ]
  for (const reason of reasons) {
    const world = await openWorld(t)
    world.emulator.fail({ action: 'oss:GetObject' }, reason)
    await deployed(t, world)
    provesLayout(t, world.objects, material)
  }
})

t.test('no right at all', async (t) => {
  const world = await openWorld(t, { allow: [] })
  const started = world.emulator.requests.length
  const result = await failed(t, world)
  const { code, message, hint, vendor } = stepError(result)
  t.equal(code, 'CLOUD_REFUSED')
  t.match(message, /^putting oss:\/\/my-ssl-certs\/certs\/example\.com\/\S+: AccessDenied/)
  t.match(hint, new RegExp(`oss:PutObject on acs:oss:\\*:\\*:${bucket}/${prefix}`))
  t.equal(vendor?.code, 'AccessDenied')
  t.match(vendor?.requestId, /^[0-9A-F]{24}$/)
  t.ok(
    world.emulator.requests.some(({ requestId }) => requestId === vendor?.requestId),
    'the id is that of a request which was made',
  )
  t.same(world.emulator.tree(bucket), `oss://${bucket}/\n`)
  const first = (id: string) => world.emulator.requests.slice(started).filter(({ key }) => key?.endsWith(id)).length
  t.equal(first(`${material.archive}/cert.pem`), 1, 'a missing right is not asked for twice')

  const text = await world.deploy(material, world.toBucket)
  t.match(text.stderr, /\nerror: oss my-ssl-certs\/certs\/example\.com\/: putting [^\n]+\n {2}what to do: grant /)
  t.match(text.stderr, /request id [0-9A-F]{24}/, '--verbose names the request')
  t.equal(text.stdout, '')
})

t.test('a Deny of a bucket policy', async (t) => {
  const world = await openWorld(t, { key: { deny: [{ action: 'oss:Put*', resource: `${bucket}/*/latest/*` }] } })
  const result = await failed(t, world)
  t.match(result.stages[0]?.steps, [{ status: 'changed' }, { status: 'failed' }], 'the archive is there all the same')
  t.match(stepError(result).hint, /a bucket policy can deny it too/)
})

t.test('credentials that are refused', async (t) => {
  const otherwise = newAccessKey()
  const cases: readonly [what: string, environment: Record<string, string>, code: string, hint: RegExp][] = [
    [
      'another secret',
      { ALIBABA_CLOUD_ACCESS_KEY_SECRET: otherwise.secret },
      'SignatureDoesNotMatch',
      /ALIBABA_CLOUD_ACCESS_KEY_SECRET/,
    ],
    [
      'an unknown key',
      { ALIBABA_CLOUD_ACCESS_KEY_ID: otherwise.id },
      'InvalidAccessKeyId',
      /ALIBABA_CLOUD_ACCESS_KEY_ID/,
    ],
    [
      'a token with a key that has none',
      { ALIBABA_CLOUD_SECURITY_TOKEN: keepSecret(`CAIS${randomBytes(30).toString('hex')}`) },
      'InvalidSecurityToken',
      /temporary credentials/,
    ],
  ]
  for (const [what, environment, code, hint] of cases) {
    const world = await openWorld(t)
    t.comment(what)
    const error = stepError(await failed(t, world, [], { environment }))
    t.match(error, { code: 'CLOUD_REFUSED', hint, vendor: { code, requestId: /^[0-9A-F]+$/ } })
    t.notMatch(error.message, /\n|StringToSign|OSS4-HMAC/)
    t.equal(world.objects.size, 0)
  }
})

t.test('temporary credentials', async (t) => {
  const token = `CAIS${randomBytes(40).toString('base64')}`
  const world = await openWorld(t, { key: { token } })
  await deployed(t, world)
  provesLayout(t, world.objects, material)
  t.ok(world.emulator.requests.every(({ headers }) => headers['x-oss-security-token'] === token))

  const forgotten = await openWorld(t, { key: { token } })
  const without = await failed(t, forgotten, [], { environment: { ALIBABA_CLOUD_SECURITY_TOKEN: undefined } })
  t.match(stepError(without).vendor?.code, /InvalidSecurityToken|InvalidAccessKeyId/)

  const expired = await openWorld(t, { key: { token, expired: true } })
  const error = stepError(await failed(t, expired))
  t.match(error, { vendor: { code: 'SecurityTokenExpired' }, hint: /temporary credentials ran out/ })
})

t.test('no credentials', async (t) => {
  const world = await openWorld(t)
  const environment = { ALIBABA_CLOUD_ACCESS_KEY_ID: undefined, ALIBABA_CLOUD_ACCESS_KEY_SECRET: undefined }
  const started = performance.now()
  const run = await world.deploy(material, [...world.toBucket, '--json', '--timeout', '600'], { environment })
  t.equal(run.code, 1)
  const error = stepError(resultOf(run))
  t.match(error, {
    code: 'CREDENTIALS_MISSING',
    hint: /ALIBABA_CLOUD_ACCESS_KEY_ID.*\/etc\/acme-oss\/env/,
    vendor: null,
  })
  t.equal(world.emulator.requests.length, 0)
  t.ok(performance.now() - started < 60_000, 'nobody waits for what does not come')
  const half = await world.deploy(material, [...world.toBucket, '--json'], {
    environment: { ALIBABA_CLOUD_ACCESS_KEY_SECRET: undefined },
  })
  t.equal(stepError(resultOf(half)).code, 'CREDENTIALS_MISSING')
})

t.test('credentials from a file, by the official chain', async (t) => {
  const world = await openWorld(t)
  const profile = {
    current: 'default',
    profiles: [{ name: 'default', mode: 'AK', access_key_id: world.key.id, access_key_secret: world.key.secret }],
  }
  mkdirSync(world.path('.aliyun'))
  writeFileSync(world.path('.aliyun', 'config.json'), JSON.stringify(profile))
  const environment = {
    ALIBABA_CLOUD_ACCESS_KEY_ID: undefined,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: undefined,
    HOME: world.folder,
  }
  await deployed(t, world, [], { environment })
  provesLayout(t, world.objects, material)
})

t.test('credentials with a line end behind them, as secret files have', async (t) => {
  const world = await openWorld(t)
  const environment = {
    ALIBABA_CLOUD_ACCESS_KEY_ID: `${world.key.id}\n`,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: `${world.key.secret}\r\n`,
  }
  await deployed(t, world, ['--timeout', '5'], { environment })
  provesLayout(t, world.objects, material)
})

t.test('a clock that is wrong', async (t) => {
  for (const hours of [-2, 2]) {
    const world = await openWorld(t, { emulator: { now: () => new Date(Date.now() + (hours * day) / 24) } })
    const error = stepError(await failed(t, world))
    t.match(error, { code: 'CLOUD_REFUSED', vendor: { code: 'RequestTimeTooSkewed' }, hint: /clock of this machine/ })
  }
})

t.test('another region than the bucket is in', async (t) => {
  const world = await openWorld(t, { bucket: { region: 'cn-beijing' } })
  const error = stepError(await failed(t, world))
  t.equal(error.vendor?.code, 'AccessDenied')
  t.match(error.hint, /oss-cn-beijing\.aliyuncs\.com.*--region.*--endpoint https:\/\/oss-cn-beijing\.aliyuncs\.com/)
  const words = ['--bucket', bucket, '--region', 'cn-beijing', '--prefix', prefix, '--endpoint', world.emulator.url]
  t.equal((await world.deploy(material, words)).code, 0)
  provesLayout(t, world.objects, material)
})

t.test('a bucket that is not there', async (t) => {
  const world = await openWorld(t)
  const words = world.toBucket.map((word) => (word === bucket ? 'not-there' : word))
  const run = await world.deploy(material, [...words, '--json', '--timeout', '5'])
  t.equal(run.code, 1)
  const error = stepError(resultOf(run))
  t.match(error, { code: 'CLOUD_REFUSED', vendor: { code: 'NoSuchBucket' }, hint: /check --bucket/ })
})

t.test('an account whose objects are reached by a bound domain only', async (t) => {
  const world = await openWorld(t, { bucket: { publicEndpointForbidden: true } })
  const error = stepError(await failed(t, world))
  t.match(error, { code: 'CLOUD_REFUSED', vendor: { code: 'PublicEndpointForbidden', requestId: /^\w+$/ } })
  t.match(error.hint, /--endpoint https:\/\/\S+ --cname-endpoint/)

  world.emulator.bindCname('localhost', bucket)
  const { port, url } = world.emulator
  const words = ['--bucket', bucket, '--region', 'cn-hangzhou', '--prefix', prefix]
  const bound = [...words, '--endpoint', `http://localhost:${port}`, '--cname-endpoint', '--bucket-endpoint', url]
  const before = world.emulator.requests.length
  t.equal((await world.deploy(material, bound)).code, 0)
  provesLayout(t, world.objects, material)
  t.ok(world.emulator.requests.slice(before).every(({ host }) => host === `localhost:${port}`))

  world.emulator.addKey({ ...world.key, allow: onPrefix })
  const then = world.emulator.requests.length
  t.equal((await world.deploy(material, bound)).code, 0, 'with the least rights, too')
  const asked = world.emulator.requests.slice(then).filter(({ query }) => 'acl' in query || 'policyStatus' in query)
  t.equal(asked.length, 2)
  t.ok(
    asked.every(({ host }) => host === bucketHost),
    'what is asked of the bucket itself goes to the endpoint for that',
  )
})

t.test('a bound domain without --cname-endpoint, and the other way round', async (t) => {
  const world = await openWorld(t)
  world.emulator.bindCname('localhost', bucket)
  const words = ['--bucket', bucket, '--region', 'cn-hangzhou', '--prefix', prefix]
  const port = world.emulator.port
  const named = await world.deploy(material, [...words, '--endpoint', `http://localhost:${port}`])
  t.equal(named.code, 0, 'the bucket is put before a host that is not bound')
  t.ok(world.emulator.requests.every(({ host }) => host === `${bucket}.localhost:${port}`))
  const address = await world.deploy(material, [...world.toBucket, '--cname-endpoint', '--timeout', '5', '--json'])
  t.equal(address.code, 1)
  t.notOk(resultOf(address).ok)
})

t.test('over TLS', async (t) => {
  const authority = await mintAuthority({ name: 'A private CA' })
  const server = await mintLeaf({ issuer: authority, names: [bucketHost, `*.oss-cn-hangzhou.aliyuncs.com`] })
  const tls = { cert: server.pem, key: keyPem(server.key, 'pkcs8') }
  const world = await openWorld(t, { emulator: { tls } })
  t.match(world.emulator.url, /^https:/)

  const started = performance.now()
  const run = await world.deploy(material, [...world.toBucket, '--json', '--timeout', '600'])
  t.equal(run.code, 1)
  const error = stepError(resultOf(run))
  t.match(error, { code: 'CLOUD_UNAVAILABLE', hint: /not trusted.*NODE_EXTRA_CA_CERTS/, vendor: null })
  t.ok(performance.now() - started < 60_000, 'what is not trusted is not tried again and again')
  t.equal(world.emulator.requests.length, 0, 'and is told nothing')
  t.equal(resultOf(run).pending.length, 2)

  const switchedOff = { environment: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } }
  t.equal((await world.deploy(material, world.toBucket, switchedOff)).code, 1, 'there is no switch')
  t.equal(world.emulator.requests.length, 0)

  const environment = { NODE_EXTRA_CA_CERTS: world.file('ca.pem', authority.pem) }
  const before = world.emulator.connections
  t.equal((await world.deploy(material, world.toBucket, { environment })).code, 0)
  t.equal(world.emulator.connections - before, 6, 'those that were opened early were used')
  provesLayout(t, world.objects, material)
  t.ok(world.emulator.requests.every(({ secure }) => secure))

  const others = await mintLeaf({ issuer: authority, names: ['other.example'] })
  const impostor = await openWorld(t, { emulator: { tls: { cert: others.pem, key: keyPem(others.key, 'pkcs8') } } })
  const refused = await failed(t, impostor, [], { environment })
  t.match(stepError(refused), { code: 'CLOUD_UNAVAILABLE', hint: /not trusted/ })
  t.equal(impostor.emulator.requests.length, 0)
})

t.test('a host that does not exist', async (t) => {
  const world = await openWorld(t)
  const words = ['--bucket', bucket, '--region', 'cn-hangzhou', '--endpoint', 'https://oss.invalid', '--json']
  const run = await world.deploy(material, [...words, '--timeout', '600'])
  t.equal(run.code, 1)
  t.match(stepError(resultOf(run)), {
    code: 'CLOUD_UNAVAILABLE',
    message: /my-ssl-certs\.oss\.invalid cannot be reached/,
  })
})

t.test('what is asked for and what is not', async (t) => {
  const world = await openWorld(t)
  await deployed(t, world)
  t.same(
    [...new Set(world.emulator.requests.map(({ method, action }) => `${method} ${action}`))].sort(),
    ['GET oss:GetObject', 'PUT oss:PutObject'],
    'no listing, no deleting',
  )
  t.notOk(world.emulator.requests.some(({ headers, body }) => !headers['authorization'] && body.length > 0))
  t.ok(world.emulator.requests.filter(isPut).every(({ query }) => Object.keys(query).length === 0))
  t.notOk(
    world.emulator.requests.some((request) => !isPut(request) && request.key?.endsWith('privkey.pem')),
    'the key is never fetched',
  )
  t.same(readdirSync(world.folder), ['state'], 'nothing is left beside the state folder')
})

await proveSilence(t)
