// How a real CA (Pebble) is shown that a name is ours: standalone, webroot, and commands of the user's.
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import {
  certificatesIn,
  isServable,
  makeFolder,
  namesOf,
  orderAt,
  standaloneFor,
  startWithPebble as start,
  testOutput,
} from './issue-command.js'
import { hasPebble, type Pebble } from './pebble.js'

if (!hasPebble()) t.bailout('pebble is not installed')

const listening = async (t: Test, server: Server, port = 0, host = '127.0.0.1'): Promise<number> => {
  server.listen(port, host)
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

interface Served {
  readonly path: string
  readonly host: string | undefined
  readonly body: string | undefined
  /** Of the file, and of the folders above it. */
  readonly modes: readonly number[]
}

/** A web server on the port where the CA asks; it notes what it finds when it is asked. */
const serveFolder = async (t: Test, pebble: Pebble, folder: string): Promise<Served[]> => {
  const served: Served[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    const file = join(folder, path)
    const isThere = existsSync(file)
    served.push({
      path,
      host: request.headers.host,
      body: isThere ? readFileSync(file, 'utf8') : undefined,
      modes: isThere ? ['.', '..', '../..'].map((up) => statSync(join(file, up)).mode & 0o777) : [],
    })
    response.writeHead(isThere ? 200 : 404)
    response.end(isThere ? readFileSync(file) : 'not here')
  })
  await listening(t, server, pebble.httpPort)
  return served
}

t.test('webroot', async (t) => {
  const [pebble, place] = await start(t)
  const web = join(place.folder, 'web')
  mkdirSync(web)
  const served = await serveFolder(t, pebble, web)
  const words = (...names: readonly string[]): string[] => [
    ...[...orderAt(pebble, ...names), '--webroot', web, ...place.toBucket, '--json', '--force-renewal'],
  ]

  t.test('the answers are served, and taken away', async (t) => {
    const names = ['a.example.com', 'b.example.com', 'c.example.com']
    const result = await place.run([...words(...names), '--solver', 'webroot', '--challenge', 'http-01'])
    if (!t.equal(result.code, 0)) t.comment(result.stderr)
    await isServable(t, pebble, place, names)
    t.same([...new Set(served.map(({ host }) => host?.replace(/:\d+$/, '')))].sort(), names)
    for (const { path, body, modes } of served) {
      const token = /^\/\.well-known\/acme-challenge\/([\w-]{20,})$/.exec(path)?.[1]
      t.ok(token, path)
      t.match(body, new RegExp(`^${token}\\.[\\w-]{43}$`), 'token and thumbprint, and no final newline')
      t.equal((modes[0] ?? 0) & 0o444, 0o444, 'anybody may read the file')
      for (const mode of modes) t.equal(mode & 0o022, 0, 'nobody else may write')
    }
    t.same(readdirSync(web), [], 'the folders are gone as well')
  })

  t.test('whatever the umask, the web server can read them', async (t) => {
    const umask = process.umask(0o077)
    try {
      served.length = 0
      const running = place.run(words('umask.example.com'))
      process.umask(umask)
      t.equal((await running).code, 0)
    } finally {
      process.umask(umask)
    }
    t.ok(served.length > 0)
    for (const { modes } of served) {
      const [file = 0, ...folders] = modes
      t.equal(file & 0o444, 0o444, `the file: ${file.toString(8)}`)
      for (const mode of folders.slice(0, 2)) t.equal(mode & 0o111, 0o111, `a folder: ${mode.toString(8)}`)
    }
  })

  t.test('what was there stays', async (t) => {
    const wellKnown = join(web, '.well-known')
    mkdirSync(join(wellKnown, 'acme-challenge'), { recursive: true })
    for (const what of ['empty folders', 'a file of somebody else’s', 'folders of another mode']) {
      if (what.startsWith('a file')) writeFileSync(join(wellKnown, 'security.txt'), 'Contact: mailto:a@example.com')
      if (what.startsWith('folders')) chmodSync(join(wellKnown, 'acme-challenge'), 0o700)
      const before = readdirSync(wellKnown, { recursive: true })
      t.equal((await place.run(words('stays.example.com'))).code, 0)
      t.ok(existsSync(join(wellKnown, 'acme-challenge')), `${what}: the folder is still there`)
      mkdirSync(join(wellKnown, 'acme-challenge'), { recursive: true })
      t.same(readdirSync(wellKnown, { recursive: true }), before, what)
    }
    t.equal(statSync(join(wellKnown, 'acme-challenge')).mode & 0o777, 0o700)
    rmSync(wellKnown, { recursive: true })
  })

  t.test('two at once for other names, with the first account of all', async (t) => {
    rmSync(join(place.state, 'accounts'), { recursive: true })
    const results = await Promise.all(['x', 'y', 'z'].map((label) => place.run(words(`${label}.example.com`))))
    for (const { code, stderr } of results) if (!t.equal(code, 0)) t.comment(stderr)
    const accounts = readdirSync(join(place.state, 'accounts'), { recursive: true, encoding: 'utf8' })
    t.equal(accounts.filter((name) => name.endsWith('/key.pem')).length, 1)
    const left = readdirSync(web, { recursive: true, encoding: 'utf8' })
    t.same(
      left.filter((name) => !/^\.well-known(\/acme-challenge)?$/.test(name)),
      [],
      'no answer is left; a folder may be, where another run had need of it',
    )
    rmSync(join(web, '.well-known'), { recursive: true, force: true })
  })

  t.test('that is not there', async (t) => {
    writeFileSync(join(place.folder, 'file'), '')
    for (const folder of ['nowhere', 'file']) {
      const mark = pebble.mark()
      const { code, json } = await place.run(
        [...words('a.example.com'), '--webroot', join(place.folder, folder)].slice(2),
      )
      t.equal(code, 2, 'given twice')
      t.equal(json.error?.code, 'USAGE')
      const other = words('a.example.com').map((word) => (word === web ? join(place.folder, folder) : word))
      const missing = await place.run(other)
      t.equal(missing.code, 1)
      t.match(missing.json.error, { code: 'SOLVER_FAILED', message: /ENOENT|ENOTDIR/, hint: /--webroot/ })
      t.ok(missing.json.error?.message.includes(join(place.folder, folder)))
      t.same(pebble.requests(mark), {}, 'nothing was ordered')
    }
  })
})

t.test('standalone', async (t) => {
  const [pebble, place] = await start(t)
  const words = [...orderAt(pebble, 'a.example.com'), ...standaloneFor(pebble), ...place.toFolder, '--json']

  t.test('whose port is taken', async (t) => {
    for (const host of ['127.0.0.1', '::']) {
      const server = createServer()
      const port = await listening(t, server, 0, host)
      const { code, json } = await place.run(
        words.map((word) => (word === String(pebble.httpPort) ? String(port) : word)),
      )
      t.equal(code, 1, host)
      t.match(json.error, { code: 'SOLVER_FAILED', hint: /--solver webroot/ })
      t.match(json.error?.message, new RegExp(`port ${port}: EADDRINUSE`))
      t.same(pebble.requests(), {}, 'nothing was ordered')
    }
  })

  t.test('tls-alpn-01', async (t) => {
    await pebble.dns.addAAAA('six.example.com', ['::1'])
    const byTls = ['--challenge', 'tls-alpn-01', '--solver', 'standalone', '--tls-port', String(pebble.tlsPort)]
    for (const names of [
      ['one.example.com'],
      ['1.example.com', '2.example.com', 'six.example.com', '127.0.0.1', '::1'],
    ]) {
      const result = await place.run([...orderAt(pebble, ...names), ...byTls, ...place.toBucket])
      if (!t.equal(result.code, 0, names.join(' '))) t.comment(result.stderr)
      const [leaf] = certificatesIn(place.object('latest/cert.pem'))
      t.same(namesOf(leaf), names.map((name) => (name === '::1' ? '0:0:0:0:0:0:0:1' : name)).sort())
    }
  })

  t.test('addresses, and a name that has one of IPv6, by http-01', async (t) => {
    await pebble.dns.addAAAA('six.example.org', ['::1'])
    const names = ['127.0.0.1', '::1', 'six.example.org']
    const result = await place.run([...orderAt(pebble, ...names), ...standaloneFor(pebble), ...place.toBucket])
    if (!t.equal(result.code, 0)) t.comment(result.stderr)
    const [leaf] = certificatesIn(place.object('latest/cert.pem'))
    t.same(namesOf(leaf), ['0:0:0:0:0:0:0:1', '127.0.0.1', 'six.example.org'])
  })

  t.test('answers nothing but what it is asked for, and only for as long as that takes', async (t) => {
    const [slow, place] = await start(t, { vaSleep: 3 })
    const ask = async (path: string): Promise<{ readonly status: number; readonly body: string } | undefined> =>
      fetch(`http://127.0.0.1:${slow.httpPort}${path}`).then(
        async (answer) => ({ status: answer.status, body: await answer.text() }),
        () => undefined,
      )
    let found: { readonly status: number; readonly body: string } | undefined
    const run = place.run([...orderAt(slow, 'a.example.com'), ...standaloneFor(slow), ...place.toFolder])
    while (found === undefined && (slow.requests()['POST /sign-me-up'] ?? 0) === 0) found = await ask('/')
    found ??= await ask('/')
    t.equal(found?.status, 404)
    for (const path of ['/.well-known/acme-challenge/', '/.well-known/acme-challenge/nothing', '/constructor']) {
      const answer = await ask(path)
      t.equal(answer?.status ?? 404, 404, path)
    }
    t.equal((await run).code, 0)
    t.equal(await ask('/'), undefined, 'the port is free again')
  })
})

// --- commands ---

interface Call {
  readonly what: string
  readonly environment: Readonly<Record<string, string>>
}

interface Hook {
  readonly calls: Call[]
  /** How many ran at the same time, at most. */
  readonly atOnce: number
  /** The words for the command line. */
  readonly words: readonly string[]
}

type Act = (call: Call) => Promise<{ readonly print?: string; readonly status?: number } | undefined>

/** A program that reports to this process how it was called, and says and ends as it is told. */
const startHook = async (t: Test, act: Act): Promise<Hook> => {
  const calls: Call[] = []
  let [running, atOnce] = [0, 0]
  const server = createServer((request, response) => {
    running++
    atOnce = Math.max(atOnce, running)
    const answer = async () => {
      const call = JSON.parse(await text(request)) as Call
      calls.push(call)
      const { print = '', status = 0 } = (await act(call)) ?? {}
      running--
      response.end(JSON.stringify({ print, status }))
    }
    answer().catch((error: unknown) => response.end(JSON.stringify({ print: String(error), status: 99 })))
  })
  const port = await listening(t, server)
  const script = join(makeFolder(t), "it's a hook.mjs")
  writeFileSync(
    script,
    `const [what, url] = process.argv.slice(2)
    const body = JSON.stringify({ what, environment: process.env })
    const { print, status } = await (await fetch(url, { method: 'POST', body })).json()
    process.stdout.write(print)
    if (status !== 0) process.stderr.write('first line\\nno such zone')
    process.exitCode = status
    `,
  )
  const command = (what: string) => `"${process.execPath}" "${script}" ${what} 'http://127.0.0.1:${port}/'`
  return {
    calls,
    get atOnce() {
      return atOnce
    },
    words: ['--solver', 'exec', '--exec-auth', command('auth'), '--exec-cleanup', command('cleanup')],
  }
}

const value = (call: Call, name: string): string => call.environment[`CERTBOT_${name}`] ?? ''

const place = (call: Call): string => `_acme-challenge.${value(call, 'DOMAIN')}`

/** Sets the records that the CA looks for. */
const throughDns =
  (pebble: Pebble): Act =>
  async (call) => {
    if (call.what === 'auth') await pebble.dns.setTxt(place(call), value(call, 'VALIDATION'))
    else await pebble.dns.clearTxt(place(call))
    return { print: `record ${value(call, 'VALIDATION')}\n of ${value(call, 'DOMAIN')} \n\n` }
  }

t.test('exec', async (t) => {
  const [pebble, work] = await start(t)
  let used = 0
  /** Other names each time: even when told not to, Pebble believes one in a hundred without another look. */
  const order = (): { readonly names: readonly string[]; readonly words: readonly string[] } => {
    const base = `d${++used}.example.com`
    const names = [base, `*.${base}`, `www.${base}`]
    const looking = ['--dns-resolver', `127.0.0.1:${pebble.dnsPort}`]
    return { names, words: [...orderAt(pebble, ...names), ...work.toBucket, ...looking, '--json'] }
  }

  t.test('dns-01: a wildcard beside its base', async (t) => {
    const { names, words } = order()
    const hook = await startHook(t, throughDns(pebble))
    const environment = { KEPT: 'as it was', CERTBOT_TOKEN: 'of an earlier run' }
    const result = await work.run([...words, ...hook.words], { environment })
    if (!t.equal(result.code, 0)) t.comment(result.stderr)
    await isServable(t, pebble, work, names)
    const [auth, cleanUp] = ['auth', 'cleanup'].map((what) => hook.calls.filter((call) => call.what === what))
    t.equal(hook.atOnce, 1, 'never two at once')
    t.same(
      hook.calls.map(({ what }) => what),
      ['auth', 'auth', 'auth', 'cleanup', 'cleanup', 'cleanup'],
    )
    const domains = auth?.map((call) => value(call, 'DOMAIN')) ?? []
    t.same([...domains].sort(), ['d1.example.com', 'd1.example.com', 'www.d1.example.com'], 'without *.')
    t.same(
      auth?.map((call) => value(call, 'REMAINING_CHALLENGES')),
      ['2', '1', '0'],
    )
    for (const call of hook.calls) {
      t.equal(value(call, 'ALL_DOMAINS'), domains.join(','), 'in the order of the calls')
      t.match(value(call, 'VALIDATION'), /^[\w-]{43}$/)
      t.equal(call.environment['KEPT'], 'as it was')
      t.equal(call.environment['CERTBOT_TOKEN'], undefined, 'there is none with dns-01')
    }
    t.equal(new Set(auth?.map((call) => value(call, 'VALIDATION'))).size, 3)
    for (const [i, call] of (auth ?? []).entries()) {
      t.equal(call.environment['CERTBOT_AUTH_OUTPUT'], undefined)
      const same = cleanUp?.find((other) => value(other, 'VALIDATION') === value(call, 'VALIDATION'))
      t.ok(same, `challenge ${i} was cleaned up`)
      const printed = `record ${value(call, 'VALIDATION')}\n of ${value(call, 'DOMAIN')}`
      t.equal(same && value(same, 'AUTH_OUTPUT'), printed, 'what it printed, without the white space around it')
    }
    t.ok((await pebble.dns.history('_acme-challenge.d1.example.com')).some(({ type }) => type === 'TXT'))
    t.match(result.stderr, /TXT records: 3 of 3 are known to 127\.0\.0\.1:\d+/)
  })

  t.test('http-01', async (t) => {
    const answers = new Map<string, string>()
    const server = createServer((request, response) => response.end(answers.get(request.url ?? '') ?? 'nothing'))
    await listening(t, server, pebble.httpPort)
    const hook = await startHook(t, async (call) => {
      const path = `/.well-known/acme-challenge/${value(call, 'TOKEN')}`
      if (call.what === 'auth') answers.set(path, value(call, 'VALIDATION'))
      else answers.delete(path)
      return undefined
    })
    const names = ['h1.example.com', 'h2.example.com']
    const result = await work.run([
      ...[...orderAt(pebble, ...names), ...work.toBucket, ...hook.words, '--challenge', 'http-01'],
    ])
    if (!t.equal(result.code, 0)) t.comment(result.stderr)
    t.same(namesOf(certificatesIn(work.object('latest/cert.pem'))[0]), names)
    t.equal(hook.calls.length, 4)
    for (const call of hook.calls) {
      t.match(value(call, 'TOKEN'), /^[\w-]{20,}$/)
      t.ok(value(call, 'VALIDATION').startsWith(`${value(call, 'TOKEN')}.`))
    }
    t.equal(answers.size, 0)
  })

  t.test('without a command to clean up with', async (t) => {
    const { names, words } = order()
    const hook = await startHook(t, throughDns(pebble))
    const result = await work.run([...words, ...hook.words.slice(0, -2), '--challenge', 'dns-01'])
    t.equal(result.code, 0)
    t.equal(hook.calls.length, 3)
    for (const name of names) await pebble.dns.clearTxt(`_acme-challenge.${name.replace('*.', '')}`)
  })

  t.test('a command that fails: nothing is answered, and each is cleaned up', async (t) => {
    const { words } = order()
    const mark = pebble.mark()
    let count = 0
    const hook = await startHook(t, async (call) => {
      await throughDns(pebble)(call)
      return call.what === 'auth' && ++count === 2 ? { status: 7, print: 'on standard output' } : undefined
    })
    const { code, json } = await work.run([...words, ...hook.words])
    t.equal(code, 1)
    t.match(json.error, { code: 'PROGRAM_FAILED', message: /ended with status 7: no such zone$/, hint: /by hand/ })
    t.same(
      hook.calls.map(({ what }) => what),
      ['auth', 'auth', 'cleanup', 'cleanup', 'cleanup'],
    )
    t.equal(pebble.requests(mark)['POST /chalZ'], undefined)
    t.equal(pebble.issued(mark), 0)
  })

  t.test('a command that is not there', async (t) => {
    // For more names than one see program.test.ts: what can go wrong there would end this process as well.
    const words = [...orderAt(pebble, 'missing.example.com'), ...work.toBucket, '--json', '--challenge', 'dns-01']
    const { code, json } = await work.run([...words, '--solver', 'exec', '--exec-auth', '/nowhere/at-all --set'])
    t.equal(code, 1)
    t.match(json.error, { code: 'PROGRAM_FAILED', message: /\/nowhere\/at-all cannot be started \(ENOENT\)/ })
  })

  t.test('cleaning up fails: the certificate is good all the same', async (t) => {
    const { words } = order()
    const hook = await startHook(t, async (call) => {
      await throughDns(pebble)(call)
      return call.what === 'cleanup' ? { status: 1 } : undefined
    })
    const { code, json } = await work.run([...words, ...hook.words])
    t.match({ code, json }, { code: 0, json: { ok: true } })
    t.equal(hook.calls.filter(({ what }) => what === 'cleanup').length, 3, 'all were tried')
  })

  t.test('an order that fails is cleaned up as well', async (t) => {
    const { words } = order()
    const hook = await startHook(t, async (call) => {
      if (call.what === 'auth') await pebble.dns.setTxt(place(call), 'something else')
      else await pebble.dns.clearTxt(place(call))
      return undefined
    })
    const { code, json } = await work.run([...words, ...hook.words, '--dns-timeout', '0'])
    t.equal(code, 1)
    t.match(json.error, { code: 'CHALLENGE_FAILED', message: /dns-01 challenge failed: unauthorized \(.+\)/ })
    t.match(json.error?.message, /(^|; )(www\.)?d\d\.example\.com: the dns-01/)
    t.match(json.error?.hint, /_acme-challenge\.(www\.)?d\d\.example\.com/)
    t.equal(hook.calls.filter(({ what }) => what === 'cleanup').length, 3)
  })

  t.test('records that do not come to be seen: the CA is not told to look', async (t) => {
    const { words } = order()
    const hook = await startHook(t, async () => undefined)
    const mark = pebble.mark()
    const { code, json } = await work.run([...words, ...hook.words, '--dns-timeout', '1'])
    t.equal(code, 1)
    t.match(json.error, { code: 'SOLVER_FAILED', message: /^the TXT record at _acme-challenge\.\S+ is not on 127/ })
    t.equal(pebble.requests(mark)['POST /chalZ'], undefined)
    t.equal(hook.calls.filter(({ what }) => what === 'cleanup').length, 3)
  })
})

t.test('a challenge that fails', async (t) => {
  const [pebble, work] = await start(t)
  const web = join(work.folder, 'web')
  mkdirSync(web)
  const lies = new Set<string>()
  const server = createServer((request, response) => {
    const host = request.headers.host?.replace(/:\d+$/, '') ?? ''
    const file = join(web, request.url ?? '')
    response.end(lies.has(host) || !existsSync(file) ? 'Welcome to nginx!' : readFileSync(file))
  })
  // Nothing listens on 127.0.0.2.
  await listening(t, server, pebble.httpPort)
  const names = ['good.example.com', 'bad.example.com', 'fine.example.com']
  const run = (options = { here: true }) =>
    work.run([...orderAt(pebble, ...names), '--webroot', web, ...work.toBucket, '--json'], options)

  t.test('nobody listens', async (t) => {
    await pebble.dns.addA('bad.example.com', ['127.0.0.2'])
    const { code, json } = await run({ here: false })
    t.equal(code, 1)
    t.match(json.error, { code: 'CHALLENGE_FAILED', vendor: { code: 'connection' }, hint: /port 80.*firewall/ })
    t.match(json.error?.message, /^bad\.example\.com: the http-01 challenge failed: connection \(.*refused.*\)$/)
    t.same(readdirSync(web), [], 'everything is cleaned up')
    await pebble.dns.clearA('bad.example.com')
  })

  t.test('somebody else answers', async (t) => {
    lies.add('bad.example.com')
    const { code, json } = await run()
    t.equal(code, 1)
    t.match(json.error, { code: 'CHALLENGE_FAILED', hint: /bad\.example\.com.*(CDN|proxy|redirect)/ })
    t.match(json.error?.message, /^bad\.example\.com: the http-01 challenge failed: \w+ \(.*nginx.*\)$/)
    t.same(readdirSync(web), [])
  })

  t.test('more than one', async (t) => {
    lies.add('fine.example.com')
    const { code, json } = await run()
    t.equal(code, 1)
    // The CA may end the order before it has looked at all of them.
    t.match(json.error?.message, /(bad|fine)\.example\.com: the http-01 challenge failed/)
    t.notMatch(json.error?.message, /good\.example\.com/)
    t.same(readdirSync(web), [])
  })

  t.test('no address at all', async (t) => {
    lies.clear()
    await pebble.dns.setServfail('bad.example.com')
    const { code, json } = await run()
    t.equal(code, 1)
    t.match(json.error, { code: 'CHALLENGE_FAILED', message: /^bad\.example\.com: / })
    await pebble.dns.clearServfail('bad.example.com')
  })

  t.test('and when it is mended, it works', async (t) => {
    t.equal(work.objects().length, 0, 'nothing was deployed')
    const { code, stderr, stdout } = await run()
    if (!t.equal(code, 0)) t.comment(stdout + stderr)
  })
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
