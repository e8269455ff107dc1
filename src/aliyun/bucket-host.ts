/** Is it a host of the vendor's under which a bucket answers: in a region, internal, accelerated; dual stack? */
export const isHostOfBucket = (host: string, bucket: string): boolean =>
  host.startsWith(`${bucket}.`) &&
  /^(oss-[a-z0-9-]+|[a-z0-9-]+\.oss)\.aliyuncs\.com$/.test(host.slice(bucket.length + 1))
