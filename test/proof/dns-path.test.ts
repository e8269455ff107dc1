import t from 'tap'
import { followDns, leadsTo, whyUnseen } from '../../src/proof/dns-path.js'
import { serveNames, type Zone } from './name-server.js'

const host = 'static.example.com'
const signal = new AbortController().signal

t.test('where a chain leads', async (t) => {
  for (const [place, ...chain] of [
    ['oss', host, 'my-bucket.oss-cn-hangzhou.aliyuncs.com'],
    ['oss', host, 'my-bucket.oss-cn-hangzhou-internal.aliyuncs.com'],
    ['oss', host, 'my-bucket.oss-accelerate.aliyuncs.com'],
    ['oss', host, 'my-bucket.oss-accelerate-overseas.aliyuncs.com', 'something.w.cdngslb.com'],
    ['oss', host, 'my-bucket.cn-hangzhou.oss.aliyuncs.com'],
    ['oss', 'my-bucket.oss-cn-hangzhou.aliyuncs.com'],
    ['cdn', host, 'static.example.com.w.kunlunsl.com'],
    ['cdn', host, 'static.example.com.w.kunlunhuf.com', 'my-bucket.oss-cn-hangzhou.aliyuncs.com'],
    ['cdn', host, 'static.example.com.w.alikunlun.com'],
    ['cdn', host, 'static.example.com.m.alikunlun.net'],
    ['cdn', host, 'static.example.com.w.cdngslb.com'],
    ['cdn', host, 'static.example.com.queniuaa.com'],
    ['cdn', host, 'x.alicdn.com'],
    ['cdn', host, 'x.tbcache.com'],
    ['cdn', host, 'www.example.net', 'www.example.net.W.KunlunSL.com.'],
    ['stopped', host, 'static.example.com.w.kunlunsl.com', 'offline.specialcdnstatus.com'],
    ['protection', host, 'abc.yundunwaf3.com'],
    ['protection', host, 'abc.aliyunddos1003.com', 'static.example.com.w.kunlunsl.com'],
    ['unknown', host],
    ['unknown', host, 'www.example.net'],
    ['unknown', host, 'static.example.com.w.kunlunsl.com.example.net'],
    ['unknown', host, 'notkunlunsl.com'],
    ['unknown', host, 'kunlunabcd.com'],
    ['unknown', host, 'my-oss-cn-hangzhou.aliyuncs.com'],
    ['unknown', host, 'ecs.cn-hangzhou.aliyuncs.com'],
    ['unknown', host, 'my-bucket.oss-cn-hangzhou.aliyuncs.com.example.net'],
    ['unknown', host, 'specialcdnstatus.com'],
    ['unknown'],
  ] as const) {
    t.equal(leadsTo(chain), place, chain.join(' -> '))
  }
})

t.test('what is hosted where DNS does not lead is not seen', async (t) => {
  const text = (place: Parameters<typeof whyUnseen>[1], hostedOn: 'oss' | 'cdn') => {
    const why = whyUnseen(host, place, hostedOn)
    return why && `${why.cause}: ${why.hint}`
  }
  t.equal(
    text('cdn', 'oss'),
    'DNS of static.example.com leads to CDN, so what is hosted on OSS is not seen there: add --cdn-domain static.example.com (or --dcdn-domain, if it is a DCDN domain)',
  )
  t.match(text('oss', 'cdn'), /leads to OSS, so what is hosted on CDN is not seen there: add --oss-cname static/)
  for (const hostedOn of ['oss', 'cdn'] as const) {
    t.equal(text(hostedOn, hostedOn), undefined)
    t.equal(text('unknown', hostedOn), undefined)
    t.match(text('stopped', hostedOn), /stopped: start static\.example\.com again/)
    t.match(text('protection', hostedOn), /WAF or Anti-DDoS as well/)
  }
})

t.test('CNAMEs are followed', async (t) => {
  const zone: Zone = {
    [host]: { cname: 'www.example.net' },
    'www.example.net': { cname: 'www.example.net.w.kunlunsl.com' },
    'www.example.net.w.kunlunsl.com': { a: ['192.0.2.1'] },
    'apex.example.com': { a: ['192.0.2.1'] },
    'loop.example.com': { cname: 'pool.example.com' },
    'pool.example.com': { cname: 'loop.example.com' },
    'broken.example.com': { cname: 'silly.example.com' },
    'silly.example.com': { trouble: 'servfail' },
  }
  for (let i = 0; i < 20; i++) zone[`n${i}.example.com`] = { cname: `n${i + 1}.example.com` }
  const { address, questions } = await serveNames(t, zone)
  const follow = (name: string) => followDns(name, { nameServer: address, signal })
  t.same(await follow(host), { leadsTo: 'cdn', cnames: ['www.example.net', 'www.example.net.w.kunlunsl.com'] })
  t.same(await follow('apex.example.com'), { leadsTo: 'unknown', cnames: [] })
  t.same(await follow('nobody.example.com'), { leadsTo: 'unknown', cnames: [] })
  t.same(await follow('loop.example.com'), { leadsTo: 'unknown', cnames: ['pool.example.com'] })
  t.same(await follow('broken.example.com'), { leadsTo: 'unknown', cnames: ['silly.example.com'] })
  t.equal((await follow('n0.example.com')).cnames.at(-1), 'n10.example.com', 'ten hops, and no more')
  questions.length = 0
  for (const name of ['192.0.2.1', '::1', 'localhost', 'a.localhost']) {
    t.same(await follow(name), { leadsTo: 'unknown', cnames: [] }, name)
  }
  t.same(questions, [], 'of what has no CNAME nobody is asked')
})

t.test('a name server that does not answer is no failure', async (t) => {
  const { address, questions } = await serveNames(t, { [host]: { trouble: 'silence' } })
  t.same(await followDns(host, { nameServer: address, signal }), { leadsTo: 'unknown', cnames: [] })
  t.same(questions, [`CNAME ${host}`], 'it is asked once')
  t.same(await followDns(host, { nameServer: '127.0.0.1:9', signal }), { leadsTo: 'unknown', cnames: [] })
})

t.test('an interruption ends it', async (t) => {
  const { address } = await serveNames(t, { [host]: { trouble: 'silence' } })
  const abort = new AbortController()
  const following = followDns(host, { nameServer: address, signal: abort.signal })
  abort.abort()
  await t.rejects(following, { code: 'INTERRUPTED' })
})
