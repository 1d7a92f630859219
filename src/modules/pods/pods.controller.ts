import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import {
  Problems,
  RequiresAdmin,
  RequiresKey,
  Sends,
  UuidParam,
  linkAfterName,
  namePage,
} from '../../platform/http/index.js';
import { ToolRegistry } from '../tools/index.js';
import { CreatePodDto } from './create-pod.dto.js';
import { PodPageDto } from './pod-page.dto.js';
import { PodDetailDto, PodDto } from './pod.dto.js';
import type { PodDetail } from './pod.js';
import { PodsService } from './pods.service.js';
import { shelvesOf } from './stage-tools.js';
import { UpdatePodDto } from './update-pod.dto.js';

@Controller('api/v1/pods')
export class PodsController {
  constructor(
    private readonly pods: PodsService,
    private readonly tools: ToolRegistry,
  ) {}

  /** Lists the pods by name. */
  @RequiresKey()
  @Get()
  async list(@Query() query: PodPageDto, @Res({ passthrough: true }) reply: FastifyReply): Promise<PodDto[]> {
    const page = namePage(query);
    const pods = await this.pods.list({ ...page, limit: page.limit + 1 });
    const shown = pods.slice(0, page.limit);
    const last = shown.at(-1);
    if (pods.length > shown.length && last !== undefined) linkAfterName(reply, last.name);
    return shown.map((pod) => PodDto.from(pod));
  }

  /** Makes a pod, without agents yet. */
  @RequiresAdmin()
  @Problems('name_taken', 'sandbox_not_allowed')
  @Sends('Location')
  @Post()
  async create(@Body() body: CreatePodDto, @Res({ passthrough: true }) reply: FastifyReply): Promise<PodDetailDto> {
    const pod = await this.pods.create(body.toSettings());
    void reply.header('location', `/api/v1/pods/${pod.id}`);
    return this.shown(pod);
  }

  /** Shows a pod with its agents. */
  @RequiresKey()
  @Problems('not_found')
  @Get(':id')
  async get(@UuidParam() id: string): Promise<PodDetailDto> {
    return this.shown(await this.pods.get(id));
  }

  /** Changes a pod for the tasks submitted from now on. */
  @RequiresAdmin()
  @Problems('not_found', 'name_taken', 'sandbox_not_allowed')
  @Patch(':id')
  async update(@UuidParam() id: string, @Body() body: UpdatePodDto): Promise<PodDetailDto> {
    return this.shown(await this.pods.update(id, body.toPatch()));
  }

  /** Deletes a pod and its agents; its tasks, which have all ended, stay readable. */
  @RequiresAdmin()
  @Problems('not_found', 'system_pod', 'pod_in_use')
  @HttpCode(204)
  @Delete(':id')
  async delete(@UuidParam() id: string): Promise<void> {
    await this.pods.delete(id);
  }

  private shown(pod: PodDetail): PodDetailDto {
    return PodDetailDto.from(pod, shelvesOf(pod, this.tools));
  }
}
