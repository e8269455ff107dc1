// From a deployment that fails at the CDN to the message about it, and to the one that it is mended; and `notify test`.
import { once } from 'node:events'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { writeHttpsRecord } from '../../src/state/https-record.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { openBinding } from '../binding/binding-world.js'
import { daysFromNow, keepSecret, mintMaterial, openWorld, proveSilence, type World } from '../deploy-world.js'

interface Heard {
  readonly method: string
  readonly path: string
  readonly body: string
}

/** Somebody who is told, and answers what he is told to. */
const startReceiver = async (t: Test) => {
  const heard: Heard[] = []
  const answers = new Map<string, { readonly status?: number; readonly body: string }>()
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const { pathname } = new URL(request.url ?? '', 'http://here')
      heard.push({ method: request.method ?? '', path: pathname, body: Buffer.concat(pieces).toString() })
      const { status = 200, body } = answers.get(pathname.split('/')[1] ?? '') ?? { body: 'ok' }
      response.writeHead(status).end(body)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  }
  t.teardown(close)
  const { port } = server.address() as AddressInfo
  const token = keepSecret('tokentokentoken0123456789')
  return {
    heard,
    answers,
    token,
    close,
    /** A URL with a token in it; the first part of its path is what `answers` go by. */
    url: (part: string) => `http://127.0.0.1:${port}/${part}/${token}`,
    host: `127.0.0.1:${port}`,
    /** What has come since the last time, as `part: body`. */
    news: () => heard.splice(0).map(({ path, body }) => `${path.split('/')[1]}: ${body}`),
  }
}

interface WebhookBody {
  readonly firing: readonly { readonly kind: string; readonly place: string | null; readonly again: boolean }[]
  readonly recovered: readonly { readonly kind: string; readonly place: string | null }[]
}

/** `firing pending cdn …` of each message of the webhook. */
const toldOf = (news: readonly string[]): string[] =>
  news
    .filter((line) => line.startsWith('hook: '))
    .flatMap((line) => {
      const { firing, recovered } = JSON.parse(line.slice('hook: '.length)) as WebhookBody
      return [
        ...firing.map(({ kind, place, again }) => `${again ? 'again' : 'firing'} ${kind} ${place}`),
        ...recovered.map(({ kind, place }) => `recovered ${kind} ${place}`),
      ]
    })

const memoryFile = ({ state }: World): string => join(state, 'alerts/told.json')

/** As if so many minutes had passed since. */
const age = (world: World, minutes: number): void => {
  const memory = JSON.parse(readFileSync(memoryFile(world), 'utf8')) as { seen: Record<string, string> }
  for (const id of Object.keys(memory.seen)) {
    memory.seen[id] = new Date(Date.parse(memory.seen[id] as string) - minutes * 60_000).toISOString()
  }
  writeFileSync(memoryFile(world), JSON.stringify(memory))
}

const ended = (
  t: Test,
  { code, stdout, stderr }: { code: number | null; stdout: string; stderr: string },
  is: number,
) => t.equal(code, is, code === is ? `exit ${is}` : stdout + stderr)

t.test('a deployment that fails at the CDN', async (t) => {
  const receiver = await startReceiver(t)
  const world = await openBinding(t, { here: true })
  const { emulator } = world
  emulator.addCdnDomain('static.example.com')
  const material = await mintMaterial({ names: ['static.example.com'] })
  const fault = emulator.fail({ action: 'cdn:SetCdnDomainSSLCertificate' }, { status: 403, code: 'Forbidden.RAM' })
  const file = world.file(
    'acme-oss.yaml',
    `alerts:
  to:
    - webhook: { url-file: hook-url }
    - dingtalk: { url: "${receiver.url('ding')}" }
  ping: ${receiver.url('ping')}
`,
  )
  world.file('hook-url', `${receiver.url('hook')}\n`)
  // It says the token back.
  receiver.answers.set('ding', { body: `{"errcode":310000,"errmsg":"keywords not in content ${receiver.token}"}` })
  const config = ['--config', file]
  const place = 'cdn static.example.com'

  await world.give(t, material, ['--cdn-domain', 'static.example.com', ...world.toEdges, ...config], { code: 1 })
  t.same(receiver.news(), [], 'it may go well at the second try')
  t.match(readFileSync(memoryFile(world), 'utf8'), /"pending/)

  age(world, 5)
  const second = await world.run(['sync', '--now', ...config])
  ended(t, second, 1)
  const news = receiver.news()
  t.same(toldOf(news), [`firing pending ${place}`])
  t.equal(news.filter((line) => line.startsWith('ding: ')).length, 1, 'what is refused for good is not sent twice')
  t.equal(news.length, 2, 'no ping')
  t.equal(statSync(memoryFile(world)).mode & 0o777, 0o600)
  t.notMatch(readFileSync(memoryFile(world), 'utf8'), receiver.token)
  t.match(second.stderr, `warning: dingtalk at ${receiver.host} was not told: it refused with 310000: keywords not in`)

  ended(t, await world.run(['sync', ...config]), 0)
  t.same(
    receiver.news().map((line) => line.split(':')[0]),
    ['ding'],
    'who did not take it is asked again, and nobody else; what is pending is not well, whatever the exit status',
  )
  receiver.answers.set('ding', { body: '{"errcode":0,"errmsg":"ok"}' })
  ended(t, await world.run(['sync', ...config]), 0)
  const [took] = receiver.news()
  t.match(took, /^ding: .*failing: static\.example\.com is not in place on cdn static\.example\.com/)
  for (let i = 0; i < 8; i++) ended(t, await world.run(['sync', ...config]), 0)
  t.same(receiver.news(), [], 'nothing is new to anybody')

  fault.remove()
  ended(t, await world.run(['sync', '--now', ...config, '--json']), 0)
  const mended = receiver.news()
  t.same(toldOf(mended), [`recovered pending ${place}`])
  t.same(mended.map((line) => line.split(':')[0]).sort(), ['ding', 'hook', 'ping'])
  ended(t, await world.run(['renew', ...config]), 0)
  t.same(receiver.news(), ['ping: '])
  t.same(JSON.parse(readFileSync(memoryFile(world), 'utf8')), { schema: 1, seen: {}, told: {} })
})

t.test('what a run dies of', async (t) => {
  const receiver = await startReceiver(t)
  const world = await openWorld(t, { here: true })
  const alerts = `alerts: { to: [{ webhook: { url: "${receiver.url('hook')}" } }], ping: "${receiver.url('ping')}" }\n`
  const file = world.file('acme-oss.yaml', `${alerts}certificates: { a.example: { deply: [] } }\n`)
  const config = ['--config', file]
  ended(t, await world.run(['renew', ...config]), 2)
  t.match(receiver.news(), [/^hook: .*"sentence":"[^"]*deply is not known here".*did you mean deploy/])
  ended(t, await world.run(['renew', ...config]), 2)
  t.same(receiver.news(), [])
  world.file('acme-oss.yaml', alerts)
  ended(t, await world.run(['renew', ...config]), 0)
  t.same(toldOf(receiver.news()), ['recovered damaged null'])

  // What certbot passes over in silence.
  const certbot = (name: string, is: number) => async () => {
    const environment = { RENEWED_LINEAGE: world.path(`live/${name}`) }
    const toFolder = ['--directory', world.path('out', name)]
    ended(t, await world.run(['hook', 'certbot', ...toFolder, ...config], { environment }), is)
    return receiver.news()
  }
  const lineage = async (name: string): Promise<void> => {
    const { fullchain, key } = await mintMaterial({ names: [name] })
    mkdirSync(world.path('live', name), { recursive: true })
    writeFileSync(world.path('live', name, 'fullchain.pem'), fullchain)
    writeFileSync(world.path('live', name, 'privkey.pem'), key)
  }
  receiver.news()
  t.match(await certbot('b.example', 2)(), [/^hook: .*"sentence":"acme-oss hook certbot \(b\.example\) failed: /])
  t.match(await certbot('c.example', 2)(), [/^hook: .*"sentence":"acme-oss hook certbot \(c\.example\) failed: /])
  ended(t, await world.run(['sync', ...config]), 0)
  t.same(receiver.news(), [], 'the timer cannot say that it is over; and it is not well')
  const called = await world.run(['hook', 'dehydrated', ...config, '--', 'deploy_cert', 'd.example'])
  ended(t, called, 2)
  t.equal(receiver.news().length, 1)
  ended(t, await world.run(['hook', 'dehydrated', ...config, '--', 'exit_hook']), 0)
  t.same(receiver.news(), [], 'one that is called for another reason says nothing of it')
  await lineage('d.example')
  const [key, full] = ['privkey.pem', 'fullchain.pem'].map((file) => world.path('live/d.example', file)) as [
    string,
    string,
  ]
  const words = [
    '--directory',
    world.path('out/d.example'),
    ...config,
    '--',
    'deploy_cert',
    'd.example',
    key,
    full,
    full,
  ]
  ended(t, await world.run(['hook', 'dehydrated', ...words]), 0)
  t.same(toldOf(receiver.news()), ['recovered damaged null'], 'it is called rightly now')
  await lineage('b.example')
  t.same(toldOf(await certbot('b.example', 0)()), ['recovered damaged null'], 'the one that went well, and no other')
  await lineage('c.example')
  t.same(toldOf(await certbot('c.example', 0)()), ['recovered damaged null'])
  ended(t, await world.run(['sync', ...config]), 0)
  t.same(receiver.news(), ['ping: '])
  ended(t, await world.run(['sync', 'nobody.example', ...config]), 2)
  t.same(receiver.news(), [], 'what is mistyped is the business of who typed it')

  const noFolder = ['--state-dir', world.file('no-folder', '')]
  const dead = await world.run(['sync', ...config, ...noFolder])
  ended(t, dead, 1)
  t.match(receiver.news(), [/^hook: .*"name":"the state folder"/])
})

t.test('a configuration that cannot be read any more', async (t) => {
  const receiver = await startReceiver(t)
  const world = await openWorld(t, { here: true })
  const alerts = `alerts: { to: [{ webhook: { url: "${receiver.url('hook')}" } }], ping: "${receiver.url('ping')}" }\n`
  const config = ['--config', world.file('acme-oss.yaml', `${alerts}  certificates: [\n`)]
  const unknown = await world.run(['sync', ...config])
  ended(t, unknown, 0)
  t.match(unknown.stderr, /warning: .*acme-oss\.yaml:\d.*\n.*warning: nobody is told of it/, 'not in silence')
  const sync = async (text: string) => {
    world.file('acme-oss.yaml', text)
    const run = await world.run(['sync', ...config])
    ended(t, run, 0)
    return { stderr: run.stderr, news: receiver.news() }
  }
  t.same((await sync(alerts)).news, ['ping: '])
  const broken = await sync(`${alerts}  certificates: [\n`)
  t.same(toldOf(broken.news), ['firing damaged null'], 'those that it named before')
  t.equal(broken.news.length, 1, 'and no ping')
  t.match(broken.stderr, /warning: .*acme-oss\.yaml:\d/)
  t.same((await sync(`alerts: { too: [] }\n`)).news, [], 'which they know')
  t.match((await sync(alerts.replace('alerts', 'alrets'))).stderr, /warning: .*did you mean alerts/)
  t.same(toldOf((await sync(alerts)).news), ['recovered damaged null'])
  t.same((await sync('certificates: {}\n')).news, [])
  const last = await sync('certificates: [\n')
  t.same(last, { stderr: 'nothing is left to do\n', news: [] }, 'nobody wants to be told any more')
})

t.test('a hook that failed, where there is nobody but who is told that all is well', async (t) => {
  const receiver = await startReceiver(t)
  const world = await openWorld(t, { here: true })
  const environment = { ACME_OSS_ALERT_PING: receiver.url('ping'), RENEWED_LINEAGE: world.path('live/b.example') }
  ended(t, await world.run(['sync'], { environment }), 0)
  t.same(receiver.news(), ['ping: '])
  ended(t, await world.run(['hook', 'certbot'], { environment }), 2)
  ended(t, await world.run(['sync'], { environment }), 0)
  t.same(receiver.news(), [])
  age(world, 91 * 24 * 60)
  ended(t, await world.run(['sync'], { environment }), 0)
  t.same(receiver.news(), ['ping: '], 'nobody asks for ever')
})

t.test('the end that comes nearer, told of by variables alone', async (t) => {
  const receiver = await startReceiver(t)
  const world = await openWorld(t, { here: true })
  const material = await mintMaterial({ notBefore: daysFromNow(-80), notAfter: daysFromNow(6) })
  ended(t, await world.deploy(material, ['--directory', world.path('out')]), 0)
  const environment = { ACME_OSS_ALERT_SLACK: receiver.url('slack'), ACME_OSS_ALERT_PING: receiver.url('ping') }
  const atOnce = await Promise.all([1, 2, 3].map(() => world.run(['sync'], { environment })))
  for (const run of atOnce) ended(t, run, 0)
  t.equal(receiver.heard.length, 1, 'one message, however many runs see it at once')
  t.match(receiver.news(), [/^slack: .*failing: the certificate of example\.com expires in 5 days/])
  ended(t, await world.run(['sync'], { environment }), 0)
  t.same(receiver.news(), [], 'once; and what ends soon is not well')
  t.match(readFileSync(memoryFile(world), 'utf8'), /"stage":"7"/)
  ended(
    t,
    await world.run(['deploy', '--fullchain', '-', '--directory', world.path('out'), '--dry-run'], {
      environment,
      input: material.fullchain + material.key,
    }),
    0,
  )
  t.same(receiver.news(), [])
})

t.test('where HTTPS is not enforced for now', async (t) => {
  const receiver = await startReceiver(t)
  const world = await openWorld(t, { here: true })
  const environment = { ACME_OSS_ALERT_WEBHOOK: receiver.url('hook'), ACME_OSS_ALERT_PING: receiver.url('ping') }
  const state = await StateFolder.open(world.state)
  const place = { identity: 'oss site', name: 'oss site', kind: 'oss', settings: {}, saved: [] }
  await writeHttpsRecord(state, { schema: 1, ...place, relaxedSince: new Date().toISOString() })
  ended(t, await world.run(['sync'], { environment }), 0)
  const news = receiver.news()
  t.same(toldOf(news), ['firing relaxed oss site'])
  t.ok(news.includes('ping: '), 'which somebody wanted: the rest is well')
  await writeHttpsRecord(state, { schema: 1, ...place })
  ended(t, await world.run(['sync'], { environment }), 0)
  t.same(toldOf(receiver.news()), ['recovered relaxed oss site'])
})

t.test('notify test', async (t) => {
  const receiver = await startReceiver(t)
  const world = await openWorld(t)
  const none = await world.run(['notify', 'test'], { terse: true })
  ended(t, none, 2)
  t.match(none.stderr, /alerts: \{ to: \[\{ webhook: \{ url-file: /)
  t.equal((await world.call(['notify', 'tset'])).code, 2)
  const secret = world.file('secret', keepSecret('SECsecretsecretsecretsecret'))
  const file = world.file(
    'acme-oss.yaml',
    `alerts:
  to:
    - webhook: { url: "${receiver.url('hook')}" }
    - feishu: { url: "${receiver.url('feishu')}", secret-file: ${secret} }
    - slack: { url-file: missing }
  ping: ${receiver.url('ping')}
`,
  )
  receiver.answers.set('feishu', { body: '{"code":0}' })
  const { code, stdout } = await world.run(['notify', 'test', '--json', '--config', file])
  t.equal(code, 1)
  const { host } = receiver
  t.match(JSON.parse(stdout), {
    schema: 'acme-oss/1',
    command: 'notify',
    ok: false,
    action: 'test',
    receivers: [
      { kind: 'webhook', host, status: 'sent', ms: Number, error: null },
      { kind: 'feishu', host, status: 'sent', ms: Number, error: null },
      {
        kind: 'slack',
        host: null,
        status: 'failed',
        ms: Number,
        error: { code: 'FILE_UNREADABLE', hint: /chmod 600/ },
      },
    ],
    ping: { host, status: 'sent' },
    warnings: [],
    error: null,
  })
  t.same(receiver.heard.map(({ method, path }) => `${method} ${path.split('/')[1]}`).sort(), [
    'GET ping',
    'POST feishu',
    'POST hook',
  ])
  receiver.news()
  writeFileSync(world.path('missing'), 'http://hooks.example/plain')
  const plain = await world.call(['notify', 'test', '--config', file])
  t.match(plain.stderr, `error: the URL of slack in ${world.path('missing')} has to be a URL that begins with https://`)
  writeFileSync(world.path('missing'), receiver.url('slack'))
  receiver.answers.set('slack', { status: 500, body: '' })
  receiver.news()
  const failed = await world.call(['notify', 'test', '--config', file])
  ended(t, failed, 1)
  t.match(failed.stdout, `webhook at ${host}: sent (`)
  t.match(failed.stderr, `error: slack at ${host} was not told: it answered with status 500`)
  t.equal(receiver.news().filter((line) => line.startsWith('slack')).length, 2, 'what may pass is tried twice')

  const basic = receiver.url('basic').replace('//', `//${keepSecret('the-user-of-it')}:${keepSecret('its%20pass')}@`)
  const sent = Buffer.from('the-user-of-it:its pass').toString('base64')
  // It says back what it was sent.
  const errmsg = `no the-user-of-it, its pass, ${sent}`
  receiver.answers.set('basic', { body: JSON.stringify({ errcode: 1, errmsg }) })
  const ding = world.file('ding.yaml', `alerts: { to: [{ dingtalk: { url: "${basic}" } }] }\n`)
  const shy = await world.call(['notify', 'test', '--config', ding])
  t.match(shy.stderr, 'refused with 1: no [secret], [secret], [secret]')
  receiver.news()

  await receiver.close()
  const gone = await world.call(['notify', 'test', '--config', file, '--json'])
  ended(t, gone, 1)
  const { receivers, ping } = JSON.parse(gone.stdout) as Record<string, { error: { message: string } }[]>
  t.same(
    [...(receivers ?? []), ping].map((one) => (one as { error: { message: string } }).error.message),
    ['webhook', 'feishu', 'slack', 'ping'].map((kind) => `${kind} at ${host} was not told: nothing listens there`),
  )

  const dry = await world.call(['notify', 'test', '--dry-run', '--config', file])
  ended(t, dry, 0)
  t.match(dry.stdout, `feishu at ${host}: would be sent {"msg_type":"text","content":{"text":"acme-oss on `)
  t.same(receiver.news(), [])
})

t.test('plain http leads nowhere but here', async (t) => {
  const world = await openWorld(t, { here: true })
  for (const [what, part] of [
    ['to.0.slack.url', '{ to: [{ slack: { url: "http://hooks.example/tokentokentoken0123456789" } }] }'],
    ['ping', '{ ping: "http://hc.example/tokentokentoken0123456789" }'],
  ]) {
    const file = world.file('plain.yaml', `alerts: ${part}\n`)
    const { code, stderr } = await world.run(['config', 'check', '--config', file])
    t.equal(code, 2)
    t.match(stderr, `error: ${file}:1: alerts.${what} has to be a URL that begins with https://`)
  }
})

await proveSilence(t)
